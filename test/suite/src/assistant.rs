//! The server that the subject needs.

use userlib::{
    ReplyFaultReason, sys_borrow_info, sys_borrow_read, sys_borrow_write, sys_post, sys_recv_open,
    sys_refresh_task_id, sys_reply, sys_reply_fault,
};

use crate::protocol::{
    CRASH, ECHO, FAULT_ME, HINT, HINTED, INFO, LAST, LONG, READ, READ_LATE, SUBJECT, WRITE, first,
    word, words,
};

/// Serves for ever, or as long as the subject lets it.
pub fn run() -> ! {
    let mut buffer = [0; 32];
    let mut last = 0;
    loop {
        let message = sys_recv_open(&mut buffer, 0);
        let client = message.sender;
        let request = &buffer[..message.message_len.min(buffer.len())];
        let (lease, offset) = (word(request, 0) as usize, word(request, 1) as usize);
        match message.operation as u16 {
            ECHO => sys_reply(client, message.message_len as u32, request),
            LONG => sys_reply(client, message.response_capacity as u32, &[7; 100]),
            FAULT_ME => sys_reply_fault(client, ReplyFaultReason::BadMessageContents),
            CRASH => panic!("as ordered"),
            READ => {
                let mut answer = [0; 16];
                let (code, count) = sys_borrow_read(client, lease, offset, &mut answer[8..]);
                answer[..8].copy_from_slice(&words(code, count as u32));
                sys_reply(client, 0, &answer);
            }
            WRITE => {
                let (code, count) = sys_borrow_write(client, lease, offset, b"abcd");
                sys_reply(client, 0, &words(code, count as u32));
            }
            INFO => {
                let (code, attributes, len) = sys_borrow_info(client, lease);
                sys_reply(client, code, &words(attributes.0, len as u32));
            }
            HINT => {
                sys_reply(client, 0, &[]);
                sys_post(sys_refresh_task_id(first(SUBJECT)), HINTED);
            }
            READ_LATE => {
                sys_reply(client, 0, &[]);
                last = sys_borrow_read(client, lease, offset, &mut [0; 4]).0;
            }
            LAST => sys_reply(client, last, &[]),
            _ => sys_reply_fault(client, ReplyFaultReason::UndefinedOperation),
        }
    }
}
