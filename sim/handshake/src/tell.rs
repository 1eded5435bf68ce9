//! Bounds and steps in words.

use crate::world::{Action, Bounds, Deed, Victim};
use dsp_abi::bell::{GATE_TO_DSP, GATE0_TO_APP, TLB_TO_APP, TLB_TO_DSP};
use std::fmt::{Display, Formatter, Result};

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plural = |n: u8| if n == 1 { "" } else { "s" };
        write!(f, "{} session{}", self.sessions, plural(self.sessions))?;
        for (count, what) in [
            (self.kills, "task death"),
            (self.faints, "program death"),
            (self.losses, "lost bell"),
            (self.doubles, "doubled bell"),
            (self.slow, "missed moment"),
            (self.resets, "DSP reset"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}{}", plural(count))?;
            }
        }
        Ok(())
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Broker => write!(f, "the broker goes on by one operation"),
            Self::Arrives => write!(f, "what was stored up to the next bell arrives"),
            Self::Monitor(deed, plan) => {
                match deed {
                    Deed::Begin => write!(f, "the monitor comes up")?,
                    Deed::Bell(line) => write!(f, "the monitor takes {}", name(*line))?,
                    Deed::Tick => write!(f, "the monitor looks around")?,
                }
                let late = plan.iter().filter(|&&n| n > 0).count();
                if late > 0 {
                    write!(f, ", and stores arrive meanwhile ({plan:?})")
                } else {
                    Ok(())
                }
            }
            Self::Bell(line) => write!(f, "the tasks take {}", name(*line)),
            Self::Timer => write!(f, "a task's deadline passes"),
            Self::Time => write!(f, "time passes"),
            Self::Dies(victim, during) => {
                let who = match victim {
                    Victim::Iommu => "iommu",
                    Victim::Xhci => "xhci",
                };
                match during {
                    Some(n) => write!(f, "{who} dies in the broker's next operation, store {n}"),
                    None => write!(f, "{who} dies"),
                }
            }
            Self::Faints => write!(f, "the DSP's program dies"),
            Self::Lost(line) => write!(f, "{} is lost", name(*line)),
            Self::Twice(line) => write!(f, "{} comes once more", name(*line)),
            Self::DspReset => write!(f, "the DSP is reset"),
            Self::Reset => write!(f, "DSP and controller are reset"),
        }
    }
}

fn name(line: u16) -> &'static str {
    match line {
        GATE_TO_DSP => "the gate's bell to the DSP",
        TLB_TO_DSP => "the tables' bell to the DSP",
        GATE0_TO_APP => "the gate's bell to the tasks",
        TLB_TO_APP => "the tables' bell to the tasks",
        _ => "a bell",
    }
}
