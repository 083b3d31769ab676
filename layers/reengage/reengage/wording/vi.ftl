# Tiếng Việt. Những điều ghi ở đầu en.ftl cũng áp dụng cho tệp này, trừ bảng mã GSM:
# một SMS tiếng Việt chỉ có 70 ký tự (67 ký tự mỗi phần khi dài hơn), nên hãy viết ngắn gọn.

-alphabet = unicode

how_to_stop = { $has_stop_text ->
    [yes] { $stop_text }
   *[no] Trả lời STOP để ngừng nhận tin.
}

# Phần cuối của mọi tin quảng cáo.
ending = { $channel ->
    [sms] { how_to_stop }
   *[other] {""}
}

# Cuoi tin nhac hen.
question = Trả lời 1: xác nhận, 2: hủy, 3: đổi giờ.
    .confirmed = Xác nhận
    .cancel_requested = Hủy lịch hẹn
    .reschedule_requested = Đổi giờ

question_several = Trả lời 1 để xác nhận tất cả. Để hủy hoặc đổi một lịch hẹn, hãy nhắn cho chúng tôi.
    .confirmed = Xác nhận tất cả

appointment_reminder =
    { $brand }: nhắc bạn lịch hẹn lúc { $time }, { $date }{ $has_location ->
        [yes] , tại { $location }
       *[no] {""}
    }. { $has_check_in_url ->
        [yes] Check-in: { $check_in_url }
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
    { $brand }: bạn có thể check-in trực tuyến cho lịch hẹn lúc { $time }, { $date } tại đây: { $check_in_url }
    .template = online_check_in
    .parameters = brand date time check_in_url

appointment_moved = { $on_again ->
    [yes] { $brand }: lịch hẹn của bạn lúc { $time }, { $date } vẫn diễn ra.
   *[no] { $brand }: lịch hẹn của bạn đã được dời sang { $time }, { $date }.
} { $question }
    .template = { $on_again ->
        [yes] appointment_on_again
       *[no] appointment_moved
    }
    .parameters = brand date time

appointment_cancelled = { $brand }: lịch hẹn của bạn lúc { $time }, { $date } đã bị hủy.
    .template = appointment_cancelled
    .parameters = brand date time

appointment_named = { $time }, { $date }{ $has_location ->
        [yes] , tại { $location }
       *[no] {""}
    }{ $has_check_in_url ->
        [yes] {" "}({ $check_in_url })
       *[no] {""}
    }

appointment_reminder_several = { $brand }: nhắc bạn về { $count } lịch hẹn: { $appointments }. { $question }
    .template = appointment_reminder_several
    .parameters = brand count appointments

online_check_in_several = { $brand }: bạn có thể check-in trực tuyến cho { $count } lịch hẹn: { $appointments }
    .template = online_check_in_several
    .parameters = brand count appointments

appointment_moved_several = { $brand }: { $count } lịch hẹn của bạn đã được dời sang: { $appointments }. { $question }
    .template = appointment_moved_several
    .parameters = brand count appointments

appointment_cancelled_several = { $brand }: { $count } lịch hẹn của bạn đã bị hủy: { $appointments }.
    .template = appointment_cancelled_several
    .parameters = brand count appointments

trial_follow_up = { $ended ->
    [yes] { $brand }: bản dùng thử { $product } đã hết hạn vào { $date }. Bạn có muốn dùng tiếp không? { $upgrade_url } { ending }
   *[no] { $brand }: bản dùng thử { $product } sẽ hết hạn vào { $date }. Bạn có muốn dùng tiếp không? { $upgrade_url } { ending }
}
    .template = trial_follow_up
    .parameters = brand product date

product_reminder =
    { $brand }: cảm ơn bạn đã quan tâm đến { $name }. Bạn có muốn xem lại không? { $url } { ending }
    .template = product_reminder
    .parameters = brand name

cart_reminder = { $has_items ->
    [yes] { $brand }: giỏ hàng của bạn vẫn còn: { $items }. Bạn có thể hoàn tất đơn hàng tại đây: { $cart_url } { ending }
   *[no] { $brand }: giỏ hàng của bạn vẫn còn sản phẩm. Bạn có thể hoàn tất đơn hàng tại đây: { $cart_url } { ending }
}
    .template = cart_reminder
    .parameters = brand cart_url

order_shipped = { $has_carrier ->
    [yes] { $brand }: đơn hàng của bạn đã được gửi qua { $carrier }.
   *[no] { $brand }: đơn hàng của bạn đã được gửi đi.
} { $has_tracking_url ->
    [yes] Theo dõi đơn hàng: { $tracking_url }
   *[no] {""}
}
    .template = order_shipped
    .parameters = brand

review_request =
    { $brand }: hy vọng bạn hài lòng với đơn hàng. Bạn có thể cho chúng tôi biết cảm nhận không? { $review_url } { ending }
    .template = review_request
    .parameters = brand

back_in_stock = { $brand }: { $name } đã có hàng trở lại. { $url } { ending }
    .template = back_in_stock
    .parameters = brand name

product_preview = { $brand }: mời bạn xem trước { $title }. { $url } { ending }
    .template = product_preview
    .parameters = brand title

holiday_hours = { $closed ->
    [yes] { $brand }: chúng tôi nghỉ vào { $date }. { ending }
   *[no] { $brand }: chúng tôi mở cửa từ { $opens } đến { $closes } vào { $date }. { ending }
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
    [yes] { $brand }: chào mừng { $display_name } đã quay lại! Chúng tôi có thể giúp gì cho bạn?
   *[no] { $brand }: chào mừng bạn đã quay lại! Chúng tôi có thể giúp gì cho bạn?
}
    .template = welcome_back
    .parameters = brand

help_reply = { $has_help_text ->
    [yes] { $help_text }
   *[no] { $brand }: bạn cần hỗ trợ? Hãy nhắn tin cho chúng tôi tại đây. { how_to_stop }
}
    .template = help_reply
    .parameters = brand

answer_reply = { $answer ->
    [confirmed] { $several ->
        [yes] { $brand }: cảm ơn bạn, chúng tôi đã nhận được xác nhận cho { $count } lịch hẹn.
       *[no] { $brand }: cảm ơn bạn, chúng tôi đã nhận được xác nhận.
    }
    [cancel_requested] { $brand }: chúng tôi đã chuyển yêu cầu hủy lịch hẹn của bạn.
    [reschedule_requested] { $brand }: chúng tôi đã chuyển yêu cầu đổi giờ của bạn.
    [unclear] { $brand }: cảm ơn bạn. Chúng tôi chưa rõ bạn nói về lịch hẹn nào. Vui lòng nhắn cho chúng tôi biết.
    [opened] { $brand }: cảm ơn bạn. Chúng tôi sẽ nhắn tin cho bạn tại đây.
   *[other] { $brand }: cảm ơn bạn, chúng tôi đã nhận được câu trả lời.
}
    .template = answer_reply
    .parameters = brand

# Tin nhắn mở đầu cuộc trò chuyện. Không nêu tên dịch vụ.
opener = { $kind ->
    [appointment] Vui lòng nhắc tôi về lịch hẹn.
   *[other] Vui lòng cho tôi biết tin.
} { $code }
