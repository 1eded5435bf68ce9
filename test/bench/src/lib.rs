//! Tasks that measure the kernel on a board.

#![no_std]

/// What app.toml says of a task.
#[derive(Debug)]
pub struct Config {
    /// Which of the tasks it is.
    pub role: &'static str,
}

/// Runs the task.
pub fn run(config: Config) -> ! {
    match config.role {
        "supervisor" => loop {
            if userlib::sys_recv_notification(1) & 1 != 0 {
                userlib::kipc::system_restart();
            }
        },
        "server" => {
            let mut buffer = [0; 16];
            let mut message = userlib::sys_recv_open(&mut buffer, 0);
            loop {
                let n = [buffer[0] + 1];
                message = userlib::sys_reply_recv(message.sender, 0, &n, &mut buffer, 0);
            }
        }
        _ => {
            for n in 0..10 {
                let mut answer = [0];
                let server = userlib::TaskId::new(1, userlib::Generation(0));
                let got = userlib::sys_send(server, 1, &[n], &mut answer, &[]);
                assert_eq!((got, answer), ((0, 1), [n + 1]));
            }
            panic!("done");
        }
    }
}
