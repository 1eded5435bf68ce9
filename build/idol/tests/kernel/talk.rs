//! What a client sends arrives, and what the server answers comes back.

use crate::server::{Orders, server};
use crate::types::{Celsius, Color, Detail, Even, Point, Shape, Trouble};
use crate::{Run, client, everything};

fn talk(what: impl Fn() + 'static) -> Run {
    let run = Run::of(server(&Orders::default()), vec![client(what)]);
    run.assert_well();
    run
}

#[test]
fn plain_values_go_there_and_back() {
    talk(|| {
        let server = everything();
        assert_eq!(server.ping(0xDEAD_BEEF), 0xDEAD_BEEF);
        assert_eq!((server.is_even(4), server.is_even(5)), (Ok(true), Ok(false)));
        for color in [Color::Red, Color::Blue] {
            let (celsius, even) = (Celsius(-40), Even(5));
            let answer = server.sum(1, u64::MAX, true, color, celsius, even, [9, 8, 7]);
            assert_eq!(answer, Ok(color));
        }
    });
}

#[test]
fn packed_values_go_there_and_back() {
    talk(|| {
        let server = everything();
        for shape in [Shape::Dot, Shape::Circle(7), Shape::Box { w: 1, h: u32::MAX }] {
            assert_eq!(server.pack(shape, true, [1, 2, 3, u16::MAX]), Ok(shape));
        }
        let area = server.pack_hard(Shape::Box { w: 6, h: 7 }, Color::Blue);
        assert_eq!(area, Ok(42));
    });
}

#[test]
fn errors_come_back_as_themselves() {
    talk(|| {
        let server = everything();
        assert_eq!(server.fail(2), Err(Trouble::TooMuch));
        assert_eq!(server.fail(65535), Err(Trouble::FarTooMuch));
        assert_eq!(server.hard(0), Err(Detail::Excess(5)));
        assert_eq!(server.hard(6), Ok(6));
        let refused = server.pack_hard(Shape::Dot, Color::Red);
        assert_eq!(refused, Err(Detail::Excess(u64::MAX)));
    });
}

#[test]
fn lent_slices_are_read_and_written() {
    talk(|| {
        let (mut to, mut both) = ([0; 64], [1_u32, 2, 3]);
        assert_eq!(everything().copy(b"music", &mut to, &mut both), Ok(5));
        assert_eq!((&to[..6], both), (&b"music\0"[..], [2, 3, 4]));
        assert_eq!(everything().copy(&[], &mut [], &mut []), Ok(0));
        let refused = everything().copy(b"music", &mut to[..4], &mut both);
        assert_eq!(refused, Err(Trouble::TooMuch));
        assert_eq!(both, [2, 3, 4]);
    });
}

#[test]
fn lent_values_are_read_and_written() {
    talk(|| {
        let mut old = Point { x: 0, y: 0 };
        assert_eq!(everything().swap(&mut old, &Point { x: 1, y: 2 }), Ok(()));
        assert_eq!(old, Point { x: 2, y: 1 });
    });
}

#[test]
fn client_that_lends_too_much_is_told_so_before_it_sends() {
    let run = Run::of(
        server(&Orders::default()),
        vec![client(|| {
            let _ = everything().copy(&[0; 65], &mut [0; 64], &mut []);
        })],
    );
    assert!(run.said.borrow()[0].starts_with("Everything.copy: lease `from` is longer than 64"));
    assert_eq!(run.host.stats().tasks[1].syscalls, 1, "nothing was sent");
}
