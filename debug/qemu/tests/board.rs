//! Machines that really run. Where QEMU is not installed nothing is tried.

use addr::Phys;
use qemu::{Clock, Core, Error, Headset, Machine, Memory, RAM, Register, Running};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const CODE: Phys = Phys(RAM.0 + 0x20_0000);
const COUNTER: Phys = Phys(RAM.0 + 0x30_0000);
/// PL011: what is written here goes out on the serial port.
const UART: Phys = Phys(0x0900_0000);
const SOON: Duration = Duration::from_secs(20);

/// Counts in memory, for ever (A32).
const PROGRAM: [u32; 7] = [
    0xE59F_0010, // ldr r0, [pc, #16]
    0xE590_1000, // 1: ldr r1, [r0]
    0xE281_1001, // add r1, r1, #1
    0xE580_1000, // str r1, [r0]
    0xE320_F001, // yield
    0xEAFF_FFFA, // b 1b
    COUNTER.0 as u32,
];

/// The least ELF file that QEMU loads: a header, a segment.
fn write_image(folder: &Path) -> PathBuf {
    let code: Vec<u8> = PROGRAM.iter().flat_map(|word| word.to_le_bytes()).collect();
    let at = CODE.0 as u32;
    let size = code.len() as u32;
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([2, 0, 40, 0]);
    for word in [1, at, 52, 0, 0x0500_0200, 52 | 32 << 16, 1, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for word in [1, 84, at, at, size, size, 5, 4] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(code);
    let path = folder.join("count.elf");
    std::fs::write(&path, file).expect("room for the image");
    path
}

/// Runs `test` on a machine that counts, if there is a QEMU to run it.
fn on_a_machine(
    prepare: impl FnOnce(Machine, &Path) -> Machine,
    test: impl FnOnce(Running, &Path),
) {
    let folder = TempDir::new().expect("a folder");
    let image = write_image(folder.path());
    // With counted instructions YIELD leaves the guest, so that QEMU gets round
    // to what it defers, such as the last rites of a device.
    let machine = Machine::new(&image, Clock::Counted { shift: 3 });
    match prepare(machine, folder.path()).start() {
        Ok(machine) => test(machine, folder.path()),
        Err(Error::Missing) => eprintln!("not tried: {}", Error::Missing),
        Err(error) => panic!("{error}"),
    }
}

fn count(memory: &Memory) -> u32 {
    memory.word(COUNTER).expect("it is RAM")
}

fn counts_on(machine: &mut Running) {
    let from = count(&machine.memory);
    let moved = |memory: &Memory| Ok(count(memory) != from);
    machine.wait_until("counting", SOON, moved).expect("it counts");
}

#[test]
fn ram_is_seen_while_the_machine_runs_and_after_it_ended() {
    on_a_machine(
        |machine, _| machine,
        |mut machine, _| {
            counts_on(&mut machine);
            let ended = machine.quit().expect("it ends");
            assert!(ended.status.is_some_and(|status| status.success()));
            assert!(count(&ended.memory) > 0);
            assert_eq!(ended.complaints, 0, "{:?}", ended.first_complaints);
        },
    );
}

#[test]
fn a_debugger_stops_the_machine_sees_its_cores_and_lets_it_go_on() {
    on_a_machine(
        |machine, _| machine,
        |mut machine, _| {
            counts_on(&mut machine);
            // Attaching works more than once.
            for _ in 0..2 {
                let mut gdb = machine.debug().expect("QEMU has a debugger");
                let stood = count(&machine.memory);
                let pc = gdb.register(Core(0), Register::PC).expect("there is a core");
                assert!((0x4020_0004..0x4020_0018).contains(&pc), "{pc:#x}");
                let mut word = [0; 4];
                gdb.read(COUNTER, &mut word).expect("it is RAM");
                assert_eq!(u32::from_le_bytes(word), stood);
                gdb.write(COUNTER, &(stood / 2).to_le_bytes()).expect("it is RAM");
                assert_eq!(count(&machine.memory), stood / 2);
                // From the start again, with the address of the counter anew.
                gdb.set_register(Core(0), Register::PC, CODE.low()).expect("there is a core");
                gdb.set_register(Core(0), Register(0), 0).expect("there is a core");
                gdb.detach().expect("the machine goes on");
                counts_on(&mut machine);
            }
        },
    );
}

#[test]
fn what_a_debugger_writes_reaches_devices() {
    on_a_machine(
        |machine, _| machine,
        |mut machine, _| {
            let mut gdb = machine.debug().expect("QEMU has a debugger");
            for byte in *b"bell" {
                gdb.write(UART, &u32::from(byte).to_le_bytes()).expect("the serial port");
            }
            gdb.detach().expect("the machine goes on");
            // Part number of the serial port, in its identification registers.
            assert_eq!(
                machine.bus().expect("it is there").read(UART.plus(0xFE0)).expect("a register"),
                0x11
            );
            assert_eq!(machine.quit().expect("it ends").said, "bell");
        },
    );
}

#[test]
fn headsets_are_pulled_and_plugged() {
    let headset = |n: u8, plugged, folder: &Path| Headset {
        wav: folder.join(format!("{n},.wav")),
        pcap: Some(folder.join(format!("{n},.pcap"))),
        controller: 0,
        port: 1,
        plugged,
    };
    on_a_machine(
        |machine, folder| {
            machine.headset(headset(0, true, folder)).headset(headset(1, false, folder))
        },
        |mut machine, folder| {
            assert!(matches!(machine.plug(0), Err(Error::Refused(..))), "it is there");
            machine.unplug(0).expect("it is there");
            let deleted = loop {
                let event = machine.qmp.event(SOON).expect("QEMU runs").expect("QEMU tells of it");
                if event.name == "DEVICE_DELETED" {
                    break event.data["device"].clone();
                }
            };
            assert_eq!(deleted, "ua0");
            machine.plug(1).expect("the port is free");
            assert!(matches!(machine.plug(2), Err(Error::Refused(..))), "there is no third");
            machine.quit().expect("it ends");
            assert!(folder.join("1,.pcap").exists(), "commas in names are kept");
        },
    );
}

#[test]
fn a_machine_that_does_not_end_is_stopped() {
    on_a_machine(
        |machine, _| machine,
        |machine, _| {
            let ended = machine.wait(Duration::from_millis(300)).expect("it is stopped");
            assert_eq!(ended.status, None);
            assert!(count(&ended.memory) > 0);
        },
    );
}

#[test]
fn an_image_that_is_not_there_is_said_so_in_qemus_words() {
    match Machine::new(Path::new("/nowhere/image.elf"), Clock::Real).start() {
        Err(Error::Died(words)) => assert!(words.contains("/nowhere/image.elf"), "{words}"),
        Err(Error::Missing) => eprintln!("not tried: {}", Error::Missing),
        other => panic!("{other:?}"),
    }
}
