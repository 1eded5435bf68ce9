//! The same tasks and cases in the simulator.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use host::{Bare, Host, Image, Irq, Outcome, Task, Time};
use suite::{assistant, runner, subject};

/// gicv2m.player, as app-suite.toml gives it to the subject.
const INTERRUPT: Irq = Irq(102);

/// Lines that outlive the task that writes them.
struct Lines(Rc<RefCell<String>>);

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.borrow_mut().push_str(text);
        Ok(())
    }
}

fn rest() -> ! {
    loop {
        userlib::sys_recv_notification(0);
    }
}

#[test]
fn every_case_that_needs_no_mmu_ends_as_on_the_board() {
    let said = Rc::new(RefCell::new(String::new()));
    let lines = Rc::clone(&said);
    let runner = Task::new("jefe", move || {
        runner::run(&mut Lines(Rc::clone(&lines)), 0);
        rest();
    });
    let assistant = Task::new("assistant", || assistant::run()).slot("jefe", 0).notifies(2, 1);
    let subject = Task::new("subject", || subject::run(&subject::Subject { foreign: &[] }))
        .slot("jefe", 0)
        .slot("assistant", 1)
        .irq(INTERRUPT, 1 << 1);
    let bystander = Task::new("bystander", || rest()).slot("jefe", 0);
    let image = Image::new(vec![runner, assistant, subject, bystander]);
    let mut host = Host::new(image, Bare::new(1));
    assert_eq!(host.run_until(Time::NEVER), Outcome::Idle);
    let said = said.borrow();
    assert!(said.ends_with(" 0 failed\n"), "{said}");
    assert!(said.lines().count() > 30, "{said}");
}
