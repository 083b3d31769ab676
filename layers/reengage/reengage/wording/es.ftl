# Español, con usted. Lo que dice el principio de en.ftl vale también aquí.
# De las vocales con tilde solo la é está en el alfabeto GSM: los textos evitan las demás. El sábado la tiene la fecha.
# La hora va tras una coma, porque "a las" no vale para la una.

-alphabet = gsm

how_to_stop = { $has_stop_text ->
    [yes] { $stop_text }
   *[no] Responda STOP para darse de baja.
}

# El final de toda publicidad.
ending = { $channel ->
    [sms] { how_to_stop }
   *[other] {""}
}

# Al final de un recordatorio.
question = Responda 1 para confirmar, 2 para cancelar, 3 para otra hora.
    .confirmed = Confirmar
    .cancel_requested = Cancelar
    .reschedule_requested = Otra hora

question_several = Responda 1 para confirmar todas. Para cancelar o cambiar una, contacte con nosotros.
    .confirmed = Confirmar todas

appointment_reminder =
    { $brand }: le recordamos su cita: { $date }, { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }. { $has_check_in_url ->
        [yes] Check-in online: { $check_in_url }
       *[no] {""}
    } { $question }
    .template = { $has_check_in_url ->
        [yes] appointment_reminder_check_in
       *[no] appointment_reminder
    }
    .parameters = { $has_check_in_url ->
        [yes] brand date time check_in_url
       *[no] brand date time
    }

online_check_in =
    { $brand }: ya puede hacer el check-in online para su cita del { $date }, { $time }: { $check_in_url }
    .template = online_check_in
    .parameters = brand date time check_in_url

appointment_moved = { $on_again ->
    [yes] { $brand }: su cita del { $date }, { $time }, finalmente sigue en pie.
   *[no] { $brand }: su cita se ha cambiado al { $date }, { $time }.
} { $question }
    .template = { $on_again ->
        [yes] appointment_on_again
       *[no] appointment_moved
    }
    .parameters = brand date time

appointment_cancelled = { $brand }: su cita del { $date }, { $time }, ha sido cancelada.
    .template = appointment_cancelled
    .parameters = brand date time

appointment_named = { $date }, { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }{ $has_check_in_url ->
        [yes] {" "}({ $check_in_url })
       *[no] {""}
    }

appointment_reminder_several = { $brand }: le recordamos sus { $count } citas: { $appointments }. { $question }
    .template = appointment_reminder_several
    .parameters = brand count appointments

online_check_in_several = { $brand }: ya puede hacer el check-in online para sus { $count } citas: { $appointments }
    .template = online_check_in_several
    .parameters = brand count appointments

appointment_moved_several = { $brand }: sus { $count } citas se han cambiado a: { $appointments }. { $question }
    .template = appointment_moved_several
    .parameters = brand count appointments

appointment_cancelled_several = { $brand }: sus { $count } citas han sido canceladas: { $appointments }.
    .template = appointment_cancelled_several
    .parameters = brand count appointments

trial_follow_up = { $ended ->
    [yes] { $brand }: su prueba de { $product } ha terminado el { $date }. ¿Desea continuar? { $upgrade_url } { ending }
   *[no] { $brand }: su prueba de { $product } termina el { $date }. ¿Desea continuar? { $upgrade_url } { ending }
}
    .template = trial_follow_up
    .parameters = brand product date

product_reminder =
    { $brand }: gracias por su interés en { $name }. ¿Desea echarle otro vistazo? { $url } { ending }
    .template = product_reminder
    .parameters = brand name

cart_reminder = { $has_items ->
    [yes] { $brand }: siguen en su carrito: { $items }. Puede completar su pedido en { $cart_url } { ending }
   *[no] { $brand }: ha dejado productos en su carrito. Puede completar su pedido en { $cart_url } { ending }
}
    .template = cart_reminder
    .parameters = brand cart_url

order_shipped = { $has_carrier ->
    [yes] { $brand }: su pedido ha sido enviado con { $carrier }.
   *[no] { $brand }: su pedido ha sido enviado.
} { $has_tracking_url ->
    [yes] Seguimiento: { $tracking_url }
   *[no] {""}
}
    .template = order_shipped
    .parameters = brand

review_request =
    { $brand }: esperamos que su pedido le haya gustado. ¿Nos cuenta qué le ha parecido? { $review_url } { ending }
    .template = review_request
    .parameters = brand

back_in_stock = { $brand }: { $name } vuelve a estar disponible. { $url } { ending }
    .template = back_in_stock
    .parameters = brand name

product_preview = { $brand }: un primer vistazo a { $title }. { $url } { ending }
    .template = product_preview
    .parameters = brand title

holiday_hours = { $closed ->
    [yes] { $brand }: el { $date } estaremos cerrados. { ending }
   *[no] { $brand }: el { $date } abrimos de { $opens } a { $closes }. { ending }
}
    .template = { $closed ->
        [yes] holiday_hours_closed
       *[no] holiday_hours
    }
    .parameters = { $closed ->
        [yes] brand date
       *[no] brand date opens closes
    }

welcome_back = { $has_display_name ->
    [yes] { $brand }: le damos la bienvenida de nuevo, { $display_name }. ¿En qué podemos ayudarle?
   *[no] { $brand }: le damos la bienvenida de nuevo. ¿En qué podemos ayudarle?
}
    .template = welcome_back
    .parameters = brand

help_reply = { $has_help_text ->
    [yes] { $help_text }
   *[no] { $brand }: puede escribirnos por este medio y le ayudaremos. { how_to_stop }
}
    .template = help_reply
    .parameters = brand

answer_reply = { $answer ->
    [confirmed] { $several ->
        [yes] { $brand }: gracias, hemos anotado que confirma sus { $count } citas.
       *[no] { $brand }: gracias, hemos anotado que confirma su cita.
    }
    [cancel_requested] { $brand }: hemos comunicado que desea cancelar su cita.
    [reschedule_requested] { $brand }: hemos comunicado que desea otra hora para su cita.
    [unclear] { $brand }: gracias. No sabemos a qué cita se refiere. Por favor, escriba de qué cita se trata.
    [opened] { $brand }: gracias. Le escribiremos por este medio.
   *[other] { $brand }: gracias, hemos recibido su respuesta.
}
    .template = answer_reply
    .parameters = brand

# Con este texto la persona abre la conversación. No nombra ningún servicio.
opener = { $kind ->
    [appointment] Por favor, recuérdenme mi cita.
   *[other] Por favor, manténganme al tanto.
} { $code }
