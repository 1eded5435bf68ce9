//! A value as text, in Humility's form: numbers in hexadecimal.

use super::{Fields, Struct, Value};
use std::fmt::{self, Display, Formatter};

/// A value on one line.
#[derive(Debug)]
pub struct Inline<'v>(pub &'v Value);

/// A value on as many lines as it has fields, each indented by so many columns.
/// The first line begins where it is printed.
#[derive(Debug)]
pub struct Lines<'v>(pub &'v Value, pub usize);

/// How far a line is indented more than the line that opened it.
const STEP: usize = 4;

impl Display for Inline<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Struct(of) => inline(of, f),
            Value::Array(values) if values.is_empty() => f.write_str("[]"),
            Value::Array(values) => {
                f.write_str("[ ")?;
                separated(values, f)?;
                f.write_str(" ]")
            }
            scalar => write_scalar(scalar, f),
        }
    }
}

fn inline(of: &Struct, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(&of.name)?;
    match &of.fields {
        Fields::None if of.name.is_empty() => f.write_str("()"),
        Fields::None => Ok(()),
        Fields::Positional(fields) => {
            f.write_str("(")?;
            separated(fields, f)?;
            f.write_str(")")
        }
        Fields::Named(fields) => {
            f.write_str(" { ")?;
            for (n, (name, value)) in fields.iter().enumerate() {
                write!(f, "{}{name}: {}", comma(n), Inline(value))?;
            }
            f.write_str(" }")
        }
    }
}

fn separated(values: &[Value], f: &mut Formatter<'_>) -> fmt::Result {
    for (n, value) in values.iter().enumerate() {
        write!(f, "{}{}", comma(n), Inline(value))?;
    }
    Ok(())
}

const fn comma(n: usize) -> &'static str {
    if n == 0 { "" } else { ", " }
}

fn write_scalar(value: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    match value {
        Value::Unsigned(number) => write!(f, "{number:#x}"),
        Value::Negative(number) => write!(f, "{number}"),
        Value::Float(number) => write!(f, "{number:?}"),
        Value::Bool(is) => write!(f, "{is}"),
        Value::Char(char) => write!(f, "{char:?}"),
        Value::Text(text) => write!(f, "{text:?}"),
        Value::Pointer(to, name) => write!(f, "{to:#x} ({name})"),
        Value::Invalid(why) => write!(f, "<{why}>"),
        Value::Struct(_) | Value::Array(_) => unreachable!("not a scalar"),
    }
}

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(value, indent) = *self;
        let inner = indent + STEP;
        match value {
            Value::Struct(Struct { name, fields: Fields::Named(fields) }) => {
                writeln!(f, "{name} {{")?;
                for (n, (name, value)) in fields.iter().enumerate() {
                    let end = if n + 1 < fields.len() { "," } else { "" };
                    writeln!(f, "{:inner$}{name}: {}{end}", "", Lines(value, inner))?;
                }
                write!(f, "{:indent$}}}", "")
            }
            Value::Struct(Struct { name, fields: Fields::Positional(fields) })
                if fields.iter().any(has_lines) =>
            {
                if let [field] = &fields[..] {
                    return write!(f, "{name}({})", Lines(field, indent));
                }
                writeln!(f, "{name}(")?;
                lines(fields, inner, f)?;
                write!(f, "{:indent$})", "")
            }
            Value::Array(values) if values.iter().any(has_lines) => {
                writeln!(f, "[")?;
                lines(values, inner, f)?;
                write!(f, "{:indent$}]", "")
            }
            flat => Inline(flat).fmt(f),
        }
    }
}

fn lines(values: &[Value], indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for (n, value) in values.iter().enumerate() {
        let end = if n + 1 < values.len() { "," } else { "" };
        writeln!(f, "{:indent$}{}{end}", "", Lines(value, indent))?;
    }
    Ok(())
}

/// Whether [`Lines`] needs more than one for it.
fn has_lines(value: &Value) -> bool {
    match value {
        Value::Struct(Struct { fields: Fields::Named(_), .. }) => true,
        Value::Struct(Struct { fields: Fields::Positional(fields), .. }) | Value::Array(fields) => {
            fields.iter().any(has_lines)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Inline, Lines};
    use crate::Value;

    fn value(text: &str) -> Value {
        Value::from_debug(text).expect(text)
    }

    #[test]
    fn one_line_is_humilitys() {
        let inline = |text| Inline(&value(text)).to_string();
        assert_eq!(inline("Died { task: 22, fault: Panic }"), "Died { task: 0x16, fault: Panic }");
        assert_eq!(inline("Locked(TaskId(22))"), "Locked(TaskId(0x16))");
        assert_eq!(inline("Sum([161, 209])"), "Sum([ 0xa1, 0xd1 ])");
        assert_eq!(inline("((), -3, \"x\", [])"), "((), -3, \"x\", [])");
    }

    #[test]
    fn many_lines_indent_what_has_names() {
        assert_eq!(
            Lines(&value("A { b: [C { d: 1 }, E], f: G(2), h: I(J { k: 3 }) }"), 2).to_string(),
            "A {\n      b: [\n          C {\n              d: 0x1\n          },\n          E\n      \
             ],\n      f: G(0x2),\n      h: I(J {\n          k: 0x3\n      })\n  }"
        );
    }
}
