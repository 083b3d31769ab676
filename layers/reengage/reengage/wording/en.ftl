# English. Each reason's variables are in adapters/wording_variables.py; every text names the brand.
# Keep to the GSM alphabet (no typographic quotes or dashes): one other character halves the length of an SMS.
# A variable that is left empty leaves no double space behind.
# The attribute "template" names the provider's approved template, and "parameters" its variables in their order.
# A template always takes the same ones, and none that may be empty: with others, it has another name.

-alphabet = gsm

how_to_stop = { $has_stop_text ->
    [yes] { $stop_text }
   *[no] Reply STOP to opt out.
}

# The end of every marketing text.
ending = { $channel ->
    [sms] { how_to_stop }
   *[other] {""}
}

# Asked at the end of a reminder; an empty text asks nothing. Never the word CANCEL: carriers treat it as STOP.
question = Reply 1 to confirm, 2 to cancel, 3 for another time.
    .confirmed = Confirm
    .cancel_requested = Cancel
    .reschedule_requested = Another time

question_several = Reply 1 to confirm all. To cancel or change one, write to us.
    .confirmed = Confirm all

appointment_reminder =
    { $brand }: a reminder of your appointment on { $date } at { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }. { $has_check_in_url ->
        [yes] Check in online: { $check_in_url }
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
    { $brand }: you can now check in online for your appointment on { $date } at { $time }: { $check_in_url }
    .template = online_check_in
    .parameters = brand date time check_in_url

appointment_moved = { $on_again ->
    [yes] { $brand }: your appointment on { $date } at { $time } takes place after all.
   *[no] { $brand }: your appointment has been moved to { $date } at { $time }.
} { $question }
    .template = { $on_again ->
        [yes] appointment_on_again
       *[no] appointment_moved
    }
    .parameters = brand date time

appointment_cancelled = { $brand }: your appointment on { $date } at { $time } has been cancelled.
    .template = appointment_cancelled
    .parameters = brand date time

# Several appointments of one contact in one text; each is written as "appointment_named".
appointment_named = { $date } at { $time }{ $has_location ->
        [yes] , { $location }
       *[no] {""}
    }{ $has_check_in_url ->
        [yes] {" "}({ $check_in_url })
       *[no] {""}
    }

appointment_reminder_several = { $brand }: a reminder of your { $count } appointments: { $appointments }. { $question }
    .template = appointment_reminder_several
    .parameters = brand count appointments

online_check_in_several = { $brand }: you can now check in online for your { $count } appointments: { $appointments }
    .template = online_check_in_several
    .parameters = brand count appointments

appointment_moved_several = { $brand }: your { $count } appointments have been moved to: { $appointments }. { $question }
    .template = appointment_moved_several
    .parameters = brand count appointments

appointment_cancelled_several = { $brand }: your { $count } appointments have been cancelled: { $appointments }.
    .template = appointment_cancelled_several
    .parameters = brand count appointments

trial_follow_up = { $ended ->
    [yes] { $brand }: your trial of { $product } ended on { $date }. Would you like to keep it? { $upgrade_url } { ending }
   *[no] { $brand }: your trial of { $product } ends on { $date }. Would you like to keep it? { $upgrade_url } { ending }
}
    .template = trial_follow_up
    .parameters = brand product date

product_reminder =
    { $brand }: thank you for your interest in { $name }. Would you like to take another look? { $url } { ending }
    .template = product_reminder
    .parameters = brand name

cart_reminder = { $has_items ->
    [yes] { $brand }: still in your cart: { $items }. You can complete your order here: { $cart_url } { ending }
   *[no] { $brand }: there is still something in your cart. You can complete your order here: { $cart_url } { ending }
}
    .template = cart_reminder
    .parameters = brand cart_url

order_shipped = { $has_carrier ->
    [yes] { $brand }: your order has been shipped with { $carrier }.
   *[no] { $brand }: your order has been shipped.
} { $has_tracking_url ->
    [yes] Track it here: { $tracking_url }
   *[no] {""}
}
    .template = order_shipped
    .parameters = brand

review_request =
    { $brand }: we hope you are happy with your order. Would you tell us what you think of it? { $review_url } { ending }
    .template = review_request
    .parameters = brand

back_in_stock = { $brand }: { $name } is back in stock. { $url } { ending }
    .template = back_in_stock
    .parameters = brand name

product_preview = { $brand }: a first look at { $title }. { $url } { ending }
    .template = product_preview
    .parameters = brand title

holiday_hours = { $closed ->
    [yes] { $brand }: we are closed on { $date }. { ending }
   *[no] { $brand }: on { $date } we are open from { $opens } to { $closes }. { ending }
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
    [yes] { $brand }: welcome back, { $display_name }! How can we help you?
   *[no] { $brand }: welcome back! How can we help you?
}
    .template = welcome_back
    .parameters = brand

help_reply = { $has_help_text ->
    [yes] { $help_text }
   *[no] { $brand }: just write to us here and we will help you. { how_to_stop }
}
    .template = help_reply
    .parameters = brand

answer_reply = { $answer ->
    [confirmed] { $several ->
        [yes] { $brand }: thank you, your { $count } appointments are noted as confirmed.
       *[no] { $brand }: thank you, your appointment is noted as confirmed.
    }
    [cancel_requested] { $brand }: we have passed on that you would like to cancel your appointment.
    [reschedule_requested] { $brand }: we have passed on that you would like another time.
    [unclear] { $brand }: thank you. We could not tell which appointment you mean. Please write to us which one.
    [opened] { $brand }: thank you. We will write to you here.
   *[other] { $brand }: thank you, your answer has arrived.
}
    .template = answer_reply
    .parameters = brand

# What a person sends to open the conversation. The code stays whole; the text names no service.
opener = { $kind ->
    [appointment] Please remind me of my appointment.
   *[other] Please keep me informed.
} { $code }
