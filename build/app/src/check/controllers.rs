//! Rules about the USB controllers: tasks of one crate, one for each.

use super::{Checker, Tasks, slot_names};
use crate::model::{DRIVER, of_controller};
use crate::raw;
use crate::refusal::Rule;
use std::collections::BTreeMap;

/// Most controllers of an image: that many does the monitor keep gates for, and
/// the mapper domains.
const MOST: usize = 2;

impl Checker<'_> {
    pub(super) fn check_controllers(
        &mut self,
        file: &raw::File,
        tasks: &Tasks<'_>,
        chip: &raw::ChipFile,
    ) {
        let drivers = || tasks.iter().filter(|(_, task)| task.name.get_ref() == DRIVER);
        let count = drivers().count().min(MOST);
        let mut numbered: BTreeMap<u8, &str> = BTreeMap::new();
        let mut streams: BTreeMap<u16, &str> = BTreeMap::new();
        for (name, task) in drivers() {
            let value = |key: &str| task.config.get(key).and_then(toml::Value::as_integer);
            let number = value("controller").and_then(|number| u8::try_from(number).ok());
            let Some(number) = number.filter(|&number| usize::from(number) < count) else {
                self.refuse(
                    name.span(),
                    Rule::ControllerNumber,
                    format!("`{}` drives no controller of this image", name.get_ref()),
                    format!(
                        "`controller` in a driver's config numbers {count} of them from 0 on; an \
                         image has at most {MOST}"
                    ),
                );
                continue;
            };
            if let Some(other) = numbered.insert(number, name.get_ref()) {
                self.refuse(
                    name.span(),
                    Rule::ControllerNumber,
                    format!("`{}` drives controller {number}, as `{other}` does", name.get_ref()),
                    "each controller has one driver, and its own number in its config",
                );
                continue;
            }
            let stream = value("stream").and_then(|stream| u16::try_from(stream).ok());
            let shared = stream.and_then(|stream| streams.insert(stream, name.get_ref()));
            if stream.is_none() || shared.is_some() {
                let whose = shared.map_or("none".to_owned(), |other| format!("that of `{other}`"));
                self.refuse(
                    name.span(),
                    Rule::ControllerStream,
                    format!("`{}` has as its StreamID {whose}", name.get_ref()),
                    "`stream` in a driver's config is the RID of its function, which no other has: \
                     the IOMMU tells controllers apart by it",
                );
            }
            self.check_parts(file, chip, (name, task), number);
        }
        self.check_clients(tasks, &numbered);
    }

    /// A driver has its controller's registers and its own pools.
    fn check_parts(
        &mut self,
        file: &raw::File,
        chip: &raw::ChipFile,
        (name, task): (&raw::Text, &raw::Task),
        number: u8,
    ) {
        let mut lacks = Vec::new();
        for registers in [format!("xhci{number}"), format!("xhci{number}_ecam")] {
            if !task.uses.iter().any(|used| *used.get_ref() == registers) {
                lacks.push(format!("the registers `{registers}`"));
            }
        }
        let interrupts = chip.get(&format!("xhci{number}")).map(|chip| &chip.interrupts);
        for interrupt in ["primary", "dsp_first"] {
            if interrupts.is_some_and(|known| !known.contains_key(interrupt)) {
                lacks.push(format!("the chip's interrupt `xhci{number}.{interrupt}`"));
            }
        }
        for pool in ["dma_xhci", "dma_ring", "gate"] {
            let pool = of_controller(pool, number);
            let owned = file.pools.iter().any(|(known, of)| {
                *known.get_ref() == pool && of.owner.get_ref() == name.get_ref()
            });
            if !owned {
                lacks.push(format!("the pool `{pool}`"));
            }
        }
        if !lacks.is_empty() {
            self.refuse(
                name.span(),
                Rule::ControllerParts,
                format!(
                    "`{}` drives controller {number} without {}",
                    name.get_ref(),
                    lacks.join(", ")
                ),
                "a driver uses its controller's registers and configuration space, and owns pools \
                 for contexts, rings and gate that have the controller's number in their names",
            );
        }
    }

    /// Who has a slot for a driver has one for each, under names that go with the
    /// controllers' numbers.
    fn check_clients(&mut self, tasks: &Tasks<'_>, numbered: &BTreeMap<u8, &str>) {
        for (name, task) in tasks {
            let slots = || task.task_slots.iter().flat_map(|slot| slot_names(slot.get_ref()));
            if !slots().any(|(_, server)| numbered.values().any(|&driver| driver == server)) {
                continue;
            }
            for (&number, &driver) in numbered {
                let slot = of_controller(DRIVER, number);
                if !slots().any(|named| named == (slot.as_str(), driver)) {
                    self.refuse(
                        name.span(),
                        Rule::ControllerSlot,
                        format!("`{}` has no slot `{slot}` for `{driver}`", name.get_ref()),
                        "who sends to a controller's driver sends to that of each, by slots that \
                         count as the controllers do: `xhci`, `xhci1`",
                    );
                }
            }
        }
    }
}
