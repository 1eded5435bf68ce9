//! A server that does as little as can be done.

use userlib::{
    TaskId, counter, sys_borrow_read, sys_irq_control_clear_pending, sys_post, sys_recv_open,
    sys_reply, sys_reply_recv,
};

use crate::protocol::{ECHO, HINT_CLIENT, LEASE, READ_LEASE, WHEN};

/// What app.toml says of the server.
#[derive(Copy, Clone, Debug)]
pub struct Config {
    /// Its interrupt's notification.
    pub interrupt: u32,
    /// The task to hint.
    pub client: TaskId,
    /// With which notification.
    pub hint: u32,
}

/// Serves for ever.
pub fn run(config: &Config) -> ! {
    let mut buffer = [0; 16];
    let mut data = [0; LEASE];
    let mut when = 0;
    sys_irq_control_clear_pending(config.interrupt);
    let mut message = sys_recv_open(&mut buffer, config.interrupt);
    loop {
        let mut answer: &[u8] = &[];
        let time: [u8; 8];
        match message.operation as u16 {
            _ if message.sender == TaskId::KERNEL => {
                when = counter::now();
                sys_irq_control_clear_pending(config.interrupt);
                message = sys_recv_open(&mut buffer, config.interrupt);
                continue;
            }
            ECHO => {
                let echoed = buffer;
                message = sys_reply_recv(message.sender, 0, &echoed, &mut buffer, config.interrupt);
                continue;
            }
            READ_LEASE => {
                let got = sys_borrow_read(message.sender, 0, 0, &mut data);
                assert_eq!(got, (0, LEASE), "the lease is not what the client said");
            }
            HINT_CLIENT => {
                sys_reply(message.sender, 0, &[]);
                when = counter::now();
                sys_post(config.client, config.hint);
                message = sys_recv_open(&mut buffer, config.interrupt);
                continue;
            }
            WHEN => {
                time = when.to_le_bytes();
                answer = &time;
            }
            _ => {}
        }
        message = sys_reply_recv(message.sender, 0, answer, &mut buffer, config.interrupt);
    }
}
