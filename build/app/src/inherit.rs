//! An image that is another one with something added.
//!
//! `inherit = "app.toml"` begins with what that file says. Tables are joined, lists
//! appended; any other value takes the place of the inherited one.

use crate::refusal::{Refusals, Rule, Source};
use std::path::Path;
use toml::{Table, Value};

impl Source {
    /// The whole of a file that may inherit from one beside it. Refusals of the
    /// whole have its lines, which are those of the archive's `app.toml`.
    pub(crate) fn whole(self) -> Result<Self, Refusals> {
        // What is no TOML is refused where the file is read as what it should be.
        let Ok(mut added) = self.text().parse::<Table>() else { return Ok(self) };
        let Some(from) = added.remove("inherit") else { return Ok(self) };
        let refuse = |wrong: String| {
            let right = "a file beside this one that inherits from none".to_owned();
            Refusals(vec![self.refuse(self.first("inherit"), Rule::Readable, wrong, right)])
        };
        let name = from.as_str().ok_or_else(|| refuse("inherits from no file".to_owned()))?;
        let folder = self.path().parent().unwrap_or(Path::new(""));
        let base = Self::read(&folder.join(name))
            .map_err(|_| refuse(format!("{name} cannot be read")))?
            .parse::<Table>()?;
        if base.contains_key("inherit") {
            return Err(refuse(format!("{name} inherits as well")));
        }
        let mut whole = base;
        join(&mut whole, added);
        let text = toml::to_string(&whole).map_err(|error| refuse(error.to_string()))?;
        Ok(self.with_text(text))
    }
}

/// Adds `added` to `base`.
fn join(base: &mut Table, added: Table) {
    for (key, value) in added {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(added)) => join(base, added),
            (Some(Value::Array(base)), Value::Array(added)) => base.extend(added),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
