# Tiếng Việt. Về các biến, xem adapters/wording.py.

appointment_reminder = { $brand }: nhắc bạn về lịch hẹn ngày { $date } lúc { $time }{ $has_location ->
    [yes] {", "}{ $location }
   *[no] {""}
}.
    .template = appointment_reminder
    .parameters = brand date time

trial_follow_up = { $ended ->
    [yes] { $brand }: bản dùng thử { $product } của bạn đã hết hạn ngày { $date }. Bạn có muốn tiếp tục không?
   *[no] { $brand }: bản dùng thử { $product } của bạn sẽ hết hạn ngày { $date }. Bạn có muốn tiếp tục không?
}{ $has_upgrade_url ->
    [yes] {" "}{ $upgrade_url }
   *[no] {""}
}{ $channel ->
    [sms] {" "}Trả lời STOP để ngừng nhận tin.
   *[other] {""}
}
    .template = trial_follow_up
    .parameters = brand product date
