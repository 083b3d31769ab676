# Deutsch. Zu den Variablen siehe adapters/wording.py.

appointment_reminder = { $brand }: Erinnerung an Ihren Termin am { $date } um { $time }{ $has_location ->
    [yes] {", "}{ $location }
   *[no] {""}
}.
    .template = appointment_reminder
    .parameters = brand date time

trial_follow_up = { $ended ->
    [yes] { $brand }: Ihre Testphase von { $product } endete am { $date }. Möchten Sie dabeibleiben?
   *[no] { $brand }: Ihre Testphase von { $product } endet am { $date }. Möchten Sie dabeibleiben?
}{ $has_upgrade_url ->
    [yes] {" "}{ $upgrade_url }
   *[no] {""}
}{ $channel ->
    [sms] {" "}Abmelden mit STOP.
   *[other] {""}
}
    .template = trial_follow_up
    .parameters = brand product date
