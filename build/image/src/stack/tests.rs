use super::thumb::Effect;
use super::{Code, Gap, Pointers};
use std::collections::BTreeMap;

const BASE: u32 = 0x4030_0000;

/// Functions one after the other, all of Thumb code.
fn code(functions: &[(&str, &[u16])]) -> Code {
    let mut code = Code {
        base: BASE,
        bytes: Vec::new(),
        kinds: BTreeMap::from([(BASE, true)]),
        functions: BTreeMap::new(),
        pointers: Pointers::default(),
    };
    for (name, halves) in functions {
        let start = BASE + code.bytes.len() as u32;
        code.bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        code.functions.insert(start, (start + 2 * halves.len() as u32, (*name).to_owned()));
    }
    code.pointers = Pointers::of(&code, &[]);
    code
}

const PUSH_20: u16 = 0xB5F0; // push {r4-r7, lr}
const POP_20: u16 = 0xBDF0; // pop {r4-r7, pc}
const SUB_24: u16 = 0xB086; // sub sp, #24
const ADD_24: u16 = 0xB006; // add sp, #24
const RETURN: u16 = 0x4770; // bx lr

#[test]
fn a_call_is_as_deep_as_the_stack_is_there() {
    let code = code(&[
        // The call is between the two changes of the stack: 20, not 44.
        ("outer", &[PUSH_20, 0xF000, 0xF803, SUB_24, ADD_24, POP_20]), // bl inner
        ("inner", &[PUSH_20, SUB_24, ADD_24, POP_20]),
    ]);
    let bound = code.bound(BASE);
    assert_eq!(bound.bytes, 20 + 44);
    assert_eq!(bound.path, [("outer".to_owned(), 20), ("inner".to_owned(), 44)]);
    assert!(bound.is_certain());
}

#[test]
fn a_branch_is_followed_both_ways() {
    let code = code(&[(
        "f",
        &[
            0xB110, // cbz r0, to the second return
            PUSH_20, SUB_24, 0xB007, // add sp, #28: not what a compiler would do
            RETURN, 0xBF00,
        ],
    )]);
    assert_eq!(code.bound(BASE).bytes, 44);
}

#[test]
fn a_pop_on_a_condition_may_not_happen() {
    let code = code(&[
        ("f", &[PUSH_20, 0xBF08, 0xBDF0, 0xF000, 0xF801, POP_20]), // it eq; popeq; bl g
        ("g", &[PUSH_20, POP_20]),
    ]);
    assert_eq!(code.bound(BASE).bytes, 40);
}

#[test]
fn a_table_leads_to_all_its_places() {
    let mut code = code(&[(
        "f",
        &[
            0xE8DF, 0xF000, // tbb [pc, r0]
            0x0201, // to +2 and +4
            RETURN, // +2
            PUSH_20, SUB_24, ADD_24, POP_20, // +4
        ],
    )]);
    code.kinds.insert(BASE + 4, false);
    code.kinds.insert(BASE + 6, true);
    let bound = code.bound(BASE);
    assert_eq!((bound.bytes, bound.gaps.len()), (44, 0));
}

#[test]
fn a_function_whose_address_is_loaded_is_followed() {
    let code = code(&[
        ("f", &[PUSH_20, 0x4E01, 0x47B0, POP_20, 0x0011, 0x4030]), // ldr r6, =g; blx r6
        ("unused", &[PUSH_20, POP_20]),
        ("g", &[PUSH_20, POP_20]),
    ]);
    // `ldr` reads the word behind the pop: 0x4030_0011, which is `g`, in Thumb.
    let bound = code.bound(BASE);
    assert_eq!((bound.bytes, bound.path[1].0.as_str()), (40, "g"));
    assert!(bound.is_certain());
}

/// Registers that are moved to and fro without end lead where one of them does:
/// a list of places would double with each move.
#[test]
fn a_pointer_that_is_moved_to_and_fro_leads_to_one_place() {
    let [there, back] = [0x4637, 0x463E]; // mov r7, r6; mov r6, r7
    let code = code(&[
        ("f", &[PUSH_20, 0x4E03, there, back, there, back, 0x47B0, POP_20, 0x0015, 0x4030]),
        ("g", &[PUSH_20, POP_20]),
    ]);
    let Some((Effect::Load(r6, _), _)) = code.effect(BASE + 2) else { panic!("no load") };
    assert_eq!(code.pointers.behind(BASE, r6, false), [BASE + 20]);
    assert_eq!(code.bound(BASE).bytes, 40);
}

/// A pointer from elsewhere can be each function whose address goes somewhere.
#[test]
fn a_pointer_is_any_function_that_is_pointed_at() {
    let mut code = code(&[
        ("f", &[PUSH_20, 0x4798, POP_20]), // blx r3
        ("unused", &[PUSH_20, PUSH_20, POP_20]),
        ("g", &[PUSH_20, SUB_24, POP_20]),
    ]);
    code.pointers = Pointers::of(&code, &[&0x4030_000D_u32.to_le_bytes()]);
    let bound = code.bound(BASE);
    assert_eq!((bound.bytes, bound.path[1].0.as_str()), (64, "g"));
    assert!(bound.is_certain());
}

#[test]
fn what_cannot_be_followed_is_named() {
    let recursive = code(&[("f", &[PUSH_20, 0xF7FF, 0xFFFD, POP_20])]); // bl f
    assert_eq!(recursive.bound(BASE).gaps, [Gap::Recursion("f".to_owned())]);
    let pointer = code(&[("f", &[PUSH_20, 0x4798, POP_20])]); // blx r3
    assert_eq!(pointer.bound(BASE).gaps, [Gap::Pointer("f".to_owned())]);
    let moved = code(&[("f", &[PUSH_20, 0x46A5, POP_20])]); // mov sp, r4
    assert_eq!(moved.bound(BASE).gaps, [Gap::Stack("f".to_owned())]);
    let lost = code(&[("f", &[PUSH_20, 0xF000, 0xF8F6, POP_20])]); // bl nowhere
    assert_eq!(lost.bound(BASE).gaps, [Gap::Nowhere("f".to_owned())]);
    let mut arm = code(&[("f", &[0xE08F, 0xE59F])]);
    arm.kinds.insert(BASE, false);
    assert_eq!(arm.bound(BASE).gaps, [Gap::Arm("f".to_owned())]);
}

/// A call that never comes back is the last instruction of its function.
#[test]
fn what_follows_the_end_is_another_function() {
    let code = code(&[
        ("f", &[PUSH_20, 0xF000, 0xF802]), // bl ends
        ("between", &[SUB_24, SUB_24]),
        ("ends", &[PUSH_20, 0xDEFE]), // udf
    ]);
    assert_eq!(code.bound(BASE).bytes, 40);
}
