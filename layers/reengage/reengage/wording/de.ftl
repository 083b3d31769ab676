# Deutsch, mit Sie. Was in en.ftl am Anfang steht, gilt auch hier.

-alphabet = gsm

how_to_stop = { $has_stop_text ->
    [yes] { $stop_text }
   *[no] Abmelden mit STOP.
}

# Das Ende jeder Werbung.
ending = { $channel ->
    [sms] { how_to_stop }
   *[other] {""}
}

# Am Ende einer Erinnerung.
question = Antworten Sie 1: Zusage, 2: Absage, 3: anderer Termin.
    .confirmed = Zusagen
    .cancel_requested = Absagen
    .reschedule_requested = Anderer Termin

question_several = Antworten Sie 1, um alle zuzusagen. Zum Absagen oder Ändern schreiben Sie uns.
    .confirmed = Alle zusagen

appointment_reminder =
    { $brand }: Wir erinnern Sie an Ihren Termin am { $date } um { $time } Uhr{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }. { $has_check_in_url ->
        [yes] Online einchecken: { $check_in_url }
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
    { $brand }: Für Ihren Termin am { $date } um { $time } Uhr können Sie jetzt online einchecken: { $check_in_url }
    .template = online_check_in
    .parameters = brand date time check_in_url

appointment_moved = { $on_again ->
    [yes] { $brand }: Ihr Termin am { $date } um { $time } Uhr findet doch statt.
   *[no] { $brand }: Ihr Termin wurde verschoben auf { $date } um { $time } Uhr.
} { $question }
    .template = { $on_again ->
        [yes] appointment_on_again
       *[no] appointment_moved
    }
    .parameters = brand date time

appointment_cancelled = { $brand }: Ihr Termin am { $date } um { $time } Uhr wurde abgesagt.
    .template = appointment_cancelled
    .parameters = brand date time

appointment_named = { $date } um { $time } Uhr{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }{ $has_check_in_url ->
        [yes] {" "}({ $check_in_url })
       *[no] {""}
    }

appointment_reminder_several = { $brand }: Wir erinnern Sie an Ihre { $count } Termine: { $appointments }. { $question }
    .template = appointment_reminder_several
    .parameters = brand count appointments

online_check_in_several = { $brand }: Für Ihre { $count } Termine können Sie jetzt online einchecken: { $appointments }
    .template = online_check_in_several
    .parameters = brand count appointments

appointment_moved_several = { $brand }: Ihre { $count } Termine wurden verschoben auf: { $appointments }. { $question }
    .template = appointment_moved_several
    .parameters = brand count appointments

appointment_cancelled_several = { $brand }: Ihre { $count } Termine wurden abgesagt: { $appointments }.
    .template = appointment_cancelled_several
    .parameters = brand count appointments

trial_follow_up = { $ended ->
    [yes] { $brand }: Ihre Testphase von { $product } endete am { $date }. Möchten Sie dabeibleiben? { $upgrade_url } { ending }
   *[no] { $brand }: Ihre Testphase von { $product } endet am { $date }. Möchten Sie dabeibleiben? { $upgrade_url } { ending }
}
    .template = trial_follow_up
    .parameters = brand product date

product_reminder =
    { $brand }: Vielen Dank für Ihr Interesse an { $name }. Möchten Sie noch einmal einen Blick darauf werfen? { $url } { ending }
    .template = product_reminder
    .parameters = brand name

cart_reminder = { $has_items ->
    [yes] { $brand }: Noch in Ihrem Warenkorb: { $items }. Hier können Sie Ihre Bestellung abschließen: { $cart_url } { ending }
   *[no] { $brand }: In Ihrem Warenkorb liegt noch etwas. Hier können Sie Ihre Bestellung abschließen: { $cart_url } { ending }
}
    .template = cart_reminder
    .parameters = brand cart_url

order_shipped = { $has_carrier ->
    [yes] { $brand }: Ihre Bestellung wurde mit { $carrier } versandt.
   *[no] { $brand }: Ihre Bestellung wurde versandt.
} { $has_tracking_url ->
    [yes] Sendung verfolgen: { $tracking_url }
   *[no] {""}
}
    .template = order_shipped
    .parameters = brand

review_request =
    { $brand }: Wir hoffen, Sie sind mit Ihrer Bestellung zufrieden. Möchten Sie uns Ihre Meinung dazu sagen? { $review_url } { ending }
    .template = review_request
    .parameters = brand

back_in_stock = { $brand }: { $name } ist wieder verfügbar. { $url } { ending }
    .template = back_in_stock
    .parameters = brand name

product_preview = { $brand }: Ein erster Blick auf { $title }. { $url } { ending }
    .template = product_preview
    .parameters = brand title

holiday_hours = { $closed ->
    [yes] { $brand }: Am { $date } haben wir geschlossen. { ending }
   *[no] { $brand }: Am { $date } haben wir von { $opens } bis { $closes } Uhr geöffnet. { ending }
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
    [yes] { $brand }: Willkommen zurück, { $display_name }! Wie können wir Ihnen helfen?
   *[no] { $brand }: Willkommen zurück! Wie können wir Ihnen helfen?
}
    .template = welcome_back
    .parameters = brand

help_reply = { $has_help_text ->
    [yes] { $help_text }
   *[no] { $brand }: Schreiben Sie uns einfach hier, wir helfen Ihnen gern. { how_to_stop }
}
    .template = help_reply
    .parameters = brand

answer_reply = { $answer ->
    [confirmed] { $several ->
        [yes] { $brand }: Danke, Ihre Zusage für { $count } Termine ist angekommen.
       *[no] { $brand }: Danke, Ihre Zusage ist angekommen.
    }
    [cancel_requested] { $brand }: Wir haben weitergegeben, dass Sie den Termin absagen möchten.
    [reschedule_requested] { $brand }: Wir haben weitergegeben, dass Sie einen anderen Termin möchten.
    [unclear] { $brand }: Danke. Wir können Ihre Antwort keinem Termin zuordnen. Bitte schreiben Sie uns, welchen Sie meinen.
    [opened] { $brand }: Danke. Wir schreiben Ihnen hier.
   *[other] { $brand }: Danke, Ihre Antwort ist angekommen.
}
    .template = answer_reply
    .parameters = brand

# Womit eine Person das Gespräch eröffnet. Der Text nennt keine Leistung.
opener = { $kind ->
    [appointment] Bitte erinnern Sie mich an meinen Termin.
   *[other] Bitte halten Sie mich auf dem Laufenden.
} { $code }
