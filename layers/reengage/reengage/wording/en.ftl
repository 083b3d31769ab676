# English. Variables: see adapters/wording.py, which fills them in. Every text names the brand.
# A service is never named: it may be about health.

appointment_reminder = { $brand }: a reminder of your appointment on { $date } at { $time }{ $has_location ->
    [yes] {", "}{ $location }
   *[no] {""}
}.
    .template = appointment_reminder
    .parameters = brand date time

trial_follow_up = { $ended ->
    [yes] { $brand }: your trial of { $product } ended on { $date }. Would you like to keep it?
   *[no] { $brand }: your trial of { $product } ends on { $date }. Would you like to keep it?
}{ $has_upgrade_url ->
    [yes] {" "}{ $upgrade_url }
   *[no] {""}
}{ $channel ->
    [sms] {" "}Reply STOP to opt out.
   *[other] {""}
}
    .template = trial_follow_up
    .parameters = brand product date
