//! The client: asks, counts, reports.

use core::fmt::Write;

use mmio::Registers;
use report::Serial;
use userlib::{Lease, counter, sys_recv_notification, sys_send, task_slot};

use crate::figure::Figure;
use crate::protocol::{ECHO, EMPTY, LEASE, READ_LEASE, WHEN};

mod stub {
    include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
}

task_slot!(JEFE, jefe);
task_slot!(SERVER, server);
task_slot!(TYPED, typed);

/// What app.toml says of the client.
#[derive(Debug)]
pub struct Config {
    /// Where the report goes.
    pub uart: Registers,
    /// The GICv2m frame: writing a number raises that interrupt.
    pub bells: Registers,
    /// The server's interrupt.
    pub bell: u32,
    /// The notification by which the server hints.
    pub hint: u32,
}

/// MSI_SETSPI_NS.
const SETSPI: u32 = 0x40;

/// Rounds of the calibration's two lengths.
const SHORT: u32 = 1_000;
const LONG: u32 = 11_000;

/// Measures, reports, and has the supervisor end the run.
pub fn run(config: Config) -> ! {
    let mut serial = Serial::new(config.uart);
    let server = SERVER.get_task_id();
    // The instructions between two readings that have nothing between them.
    let nothing = Figure::of(|| {
        let before = counter::now();
        (counter::now() - before) as u32
    });
    let since = |before: u64| (counter::now() - before) as u32 - nothing.usual;
    let mut report = |name: &str, figure: Figure| {
        let Figure { usual, least, most } = figure;
        // The serial port takes everything.
        let _ = writeln!(serial, "bench {name} {usual} {least} {most}");
    };

    // 20 000 instructions more: what a count is worth.
    let spent = |rounds| {
        Figure::of(|| {
            let before = counter::now();
            counter::spend(rounds);
            since(before)
        })
        .usual
    };
    let difference = spent(LONG) - spent(SHORT);
    report("calibration", Figure { usual: difference, least: 2 * (LONG - SHORT), most: 0 });

    report(
        "ipc_empty",
        Figure::of(|| {
            let before = counter::now();
            sys_send(server, EMPTY, &[], &mut [], &[]);
            since(before)
        }),
    );
    report(
        "ipc_16",
        Figure::of(|| {
            let (question, mut answer) = ([0x5A; 16], [0; 16]);
            let before = counter::now();
            let got = sys_send(server, ECHO, &question, &mut answer, &[]);
            let took = since(before);
            assert_eq!((got, answer), ((0, 16), question));
            took
        }),
    );
    let data = [0xA5; LEASE];
    report(
        "lease_256",
        Figure::of(|| {
            let before = counter::now();
            sys_send(server, READ_LEASE, &[], &mut [], &[Lease::read_only(&data)]);
            since(before)
        }),
    );
    let when = || {
        let mut answer = [0; 8];
        sys_send(server, WHEN, &[], &mut answer, &[]);
        u64::from_le_bytes(answer)
    };
    report(
        "post_wake",
        Figure::of(|| {
            sys_recv_notification(config.hint);
            let now = counter::now();
            (now - when()) as u32 - nothing.usual
        }),
    );
    report(
        "irq_to_task",
        Figure::of(|| {
            let before = counter::now();
            config.bells.write32(SETSPI, config.bell);
            (when() - before) as u32 - nothing.usual
        }),
    );
    let typed = stub::Bench::from(TYPED.get_task_id());
    report(
        "idol_16",
        Figure::of(|| {
            let before = counter::now();
            let got = typed.echo(1, 2);
            let took = since(before);
            assert_eq!(got, Ok([1, 2]));
            took
        }),
    );
    sys_send(JEFE.get_task_id(), 0, &[], &mut [], &[]);
    unreachable!("the run ended")
}
