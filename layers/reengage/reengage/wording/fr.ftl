# Français, avec vous. Ce qui est écrit au début de en.ftl vaut aussi ici.
# L'alphabet GSM a é, è, à et ù, mais ni ç, ni accent circonflexe, ni œ : les textes les évitent. En août, la date en a un.
# L'espace devant : et ? est ordinaire, car l'espace insécable n'est pas dans l'alphabet GSM.

-alphabet = gsm

how_to_stop = { $has_stop_text ->
    [yes] { $stop_text }
   *[no] Répondez STOP pour vous désinscrire.
}

# La fin de toute publicité.
ending = { $channel ->
    [sms] { how_to_stop }
   *[other] {""}
}

# À la fin d'un rappel.
question = Répondez 1 pour confirmer, 2 pour annuler, 3 pour un autre horaire.
    .confirmed = Confirmer
    .cancel_requested = Annuler
    .reschedule_requested = Autre horaire

question_several = Répondez 1 pour tout confirmer. Pour annuler ou changer un rendez-vous, écrivez-nous.
    .confirmed = Tout confirmer

appointment_reminder =
    { $brand } : nous vous rappelons votre rendez-vous du { $date } à { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }. { $has_check_in_url ->
        [yes] Enregistrement en ligne : { $check_in_url }
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
    { $brand } : vous pouvez dès maintenant vous enregistrer en ligne pour votre rendez-vous du { $date } à { $time } : { $check_in_url }
    .template = online_check_in
    .parameters = brand date time check_in_url

appointment_moved = { $on_again ->
    [yes] { $brand } : votre rendez-vous du { $date } à { $time } a finalement lieu.
   *[no] { $brand } : votre rendez-vous a été déplacé au { $date } à { $time }.
} { $question }
    .template = { $on_again ->
        [yes] appointment_on_again
       *[no] appointment_moved
    }
    .parameters = brand date time

appointment_cancelled = { $brand } : votre rendez-vous du { $date } à { $time } a été annulé.
    .template = appointment_cancelled
    .parameters = brand date time

appointment_named = { $date } à { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }{ $has_check_in_url ->
        [yes] {" "}({ $check_in_url })
       *[no] {""}
    }

appointment_reminder_several = { $brand } : rappel de vos { $count } rendez-vous : { $appointments }. { $question }
    .template = appointment_reminder_several
    .parameters = brand count appointments

online_check_in_several =
    { $brand } : vous pouvez vous enregistrer en ligne pour vos { $count } rendez-vous : { $appointments }
    .template = online_check_in_several
    .parameters = brand count appointments

appointment_moved_several = { $brand } : vos { $count } rendez-vous sont reportés : { $appointments }. { $question }
    .template = appointment_moved_several
    .parameters = brand count appointments

appointment_cancelled_several = { $brand } : vos { $count } rendez-vous sont annulés : { $appointments }.
    .template = appointment_cancelled_several
    .parameters = brand count appointments

trial_follow_up = { $ended ->
    [yes] { $brand } : votre essai { $product } a pris fin le { $date }. Souhaitez-vous continuer ? { $upgrade_url } { ending }
   *[no] { $brand } : votre essai { $product } prend fin le { $date }. Souhaitez-vous continuer ? { $upgrade_url } { ending }
}
    .template = trial_follow_up
    .parameters = brand product date

product_reminder =
    { $brand } : merci de vous intéresser à { $name }. Souhaitez-vous y revenir ? { $url } { ending }
    .template = product_reminder
    .parameters = brand name

cart_reminder = { $has_items ->
    [yes] { $brand } : toujours dans votre panier : { $items }. Vous pouvez finaliser votre commande ici : { $cart_url } { ending }
   *[no] { $brand } : votre panier contient encore des articles. Vous pouvez finaliser votre commande ici : { $cart_url } { ending }
}
    .template = cart_reminder
    .parameters = brand cart_url

order_shipped = { $has_carrier ->
    [yes] { $brand } : votre commande a été expédiée par { $carrier }.
   *[no] { $brand } : votre commande a été expédiée.
} { $has_tracking_url ->
    [yes] Suivi : { $tracking_url }
   *[no] {""}
}
    .template = order_shipped
    .parameters = brand

review_request =
    { $brand } : nous espérons que votre commande vous a plu. Souhaitez-vous nous donner votre avis ? { $review_url } { ending }
    .template = review_request
    .parameters = brand

back_in_stock = { $brand } : { $name } est de nouveau disponible. { $url } { ending }
    .template = back_in_stock
    .parameters = brand name

product_preview = { $brand } : découvrez en avant-première { $title }. { $url } { ending }
    .template = product_preview
    .parameters = brand title

holiday_hours = { $closed ->
    [yes] { $brand } : nous serons fermés le { $date }. { ending }
   *[no] { $brand } : le { $date }, nous serons ouverts de { $opens } à { $closes }. { ending }
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
    [yes] { $brand } : heureux de vous revoir, { $display_name } ! Comment pouvons-nous vous aider ?
   *[no] { $brand } : heureux de vous revoir ! Comment pouvons-nous vous aider ?
}
    .template = welcome_back
    .parameters = brand

help_reply = { $has_help_text ->
    [yes] { $help_text }
   *[no] { $brand } : écrivez-nous ici et nous vous aiderons. { how_to_stop }
}
    .template = help_reply
    .parameters = brand

answer_reply = { $answer ->
    [confirmed] { $several ->
        [yes] { $brand } : merci, votre confirmation de { $count } rendez-vous est bien enregistrée.
       *[no] { $brand } : merci, votre confirmation est bien enregistrée.
    }
    [cancel_requested] { $brand } : nous avons transmis que vous souhaitez annuler votre rendez-vous.
    [reschedule_requested] { $brand } : nous avons transmis que vous souhaitez un autre horaire.
    [unclear] { $brand } : merci. Nous ne savons pas de quel rendez-vous il s'agit. Veuillez nous écrire lequel.
    [opened] { $brand } : merci. Nous vous écrirons ici.
   *[other] { $brand } : merci, votre réponse est bien arrivée.
}
    .template = answer_reply
    .parameters = brand

# Par ce texte la personne ouvre la conversation. Il ne nomme aucun service.
opener = { $kind ->
    [appointment] Merci de me rappeler mon rendez-vous.
   *[other] Merci de me tenir au courant.
} { $code }
