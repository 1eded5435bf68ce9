//! What a program's debug information says of memory and of stacks; and that no
//! damage to either does more than spoil what is shown.

mod fixture;

use dump::Memory;
use fixture::{IN_MIDDLE, IN_OUTER, IN_STUB, STACK, elf, memory, registers};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use view::{Inline, Object, Stack, decode, unwind};

fn shown(object: &Object<'_>, memory: &Memory, name: &str) -> String {
    let variable = object.types().variable(name).expect(name);
    let size = object.types().size(variable.of).expect("a size");
    let bytes = memory.read(variable.at, size).expect("it is there");
    Inline(&decode(object.types(), variable.of, bytes, memory)).to_string()
}

#[test]
fn values_are_what_memory_holds() {
    let elf = elf();
    let object = Object::read("beta", &elf).expect("a program");
    let memory = memory();
    assert_eq!(
        shown(&object, &memory, "EVENTS"),
        "[ Quiet, Moved(TaskId(0x16), -2), Seen { color: Blue, new: true }, \
         <no variant 0x7 of Event> ]"
    );
    assert_eq!(shown(&object, &memory, "NAME"), "\"sotto\"");
    assert_eq!(shown(&object, &memory, "PAIR"), "Pair { one: None, other: Some(TaskId(0x3)) }");
}

#[test]
fn a_text_that_is_not_in_memory_is_shown_by_its_pointer() {
    let elf = elf();
    let object = Object::read("beta", &elf).expect("a program");
    let mut memory = memory();
    memory.replace(addr::Virt(fixture::NAME), &[0, 0, 0, 0x50]).expect("it is there");
    assert_eq!(
        shown(&object, &memory, "NAME"),
        "&str { data_ptr: 0x50000000 (*const u8), length: 0x5 }"
    );
}

#[test]
fn a_type_that_holds_itself_twice_comes_to_an_end() {
    let elf = elf();
    let object = Object::read("beta", &elf).expect("a program");
    let shown = shown(&object, &memory(), "TWICE");
    assert!(shown.ends_with("<more than any value holds> }"), "it is cut off");
}

fn frames(stack: &Stack) -> Vec<(u32, u64, &str)> {
    let frame = |frame: &'_ view::Frame| (frame.sp, frame.pc.0);
    let names = stack.frames.iter().map(|frame| frame.calls[0].function.as_str());
    stack.frames.iter().map(frame).zip(names).map(|((sp, pc), name)| (sp, pc, name)).collect()
}

#[test]
fn a_stack_leads_through_the_stub_to_the_first_function() {
    let elf = elf();
    let object = Object::read("beta", &elf).expect("a program");
    let stack = unwind(&object, &memory(), &registers(), STACK.1);
    assert_eq!(
        frames(&stack),
        [
            (STACK.1 - 32, IN_STUB.into(), "stub"),
            (STACK.1 - 16, IN_MIDDLE.into(), "middle"),
            (STACK.1, IN_OUTER.into(), "outer"),
        ]
    );
    assert_eq!(stack.broken, None);
}

#[test]
fn a_stack_that_leads_nowhere_says_so() {
    let elf = elf();
    let object = Object::read("beta", &elf).expect("a program");
    let mut away = registers();
    away[15] = 0x5000;
    let stack = unwind(&object, &memory(), &away, STACK.1);
    assert_eq!(stack.broken.as_deref(), Some("0x00005000 is no code of `beta`"));
    let mut torn = registers();
    torn[13] = STACK.1 - 4;
    let stack = unwind(&object, &memory(), &torn, STACK.1);
    assert_eq!(stack.broken.as_deref(), Some("the dump lacks the stack at 0x00002100"));
}

/// Shows everything that there is to show, but for what is cut off as too much.
fn show_all(object: &Object<'_>, memory: &Memory, registers: &[u32; 16]) -> usize {
    let mut len = 0;
    for variable in object.types().variables().iter().filter(|one| one.name != "TWICE") {
        let size = object.types().size(variable.of).unwrap_or(0);
        if let Some(bytes) = memory.read(variable.at, size) {
            let value = decode(object.types(), variable.of, bytes, memory);
            len += Inline(&value).to_string().len();
        }
    }
    len + unwind(object, memory, registers, STACK.1).frames.len()
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_program_is_refused_or_shown_as_far_as_it_goes(
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut elf = elf();
        for (at, byte) in damage {
            let at = at.index(elf.len());
            elf[at] = byte;
        }
        if let Some(cut) = cut {
            elf.truncate(cut.index(elf.len()));
        }
        if let Ok(object) = Object::read("beta", &elf) {
            show_all(&object, &memory(), &registers());
        }
    }

    #[test]
    fn damaged_memory_is_shown_as_it_is(
        damage in vec((0x1000..0x2100_u64, any::<u8>()), 1..40),
        registers in any::<[u32; 16]>(),
        pc in 0..0x40_u32,
    ) {
        let elf = elf();
        let object = Object::read("beta", &elf).expect("a program");
        let mut memory = memory();
        for (at, byte) in damage {
            // Between the pieces there is nothing to damage.
            let _ = memory.replace(addr::Virt(at), &[byte]);
        }
        let mut registers = registers;
        registers[15] = pc;
        let shown = show_all(&object, &memory, &registers);
        proptest::prop_assert!(shown > 0, "the variables are where they were");
    }
}
