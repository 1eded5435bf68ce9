//! A value out of the text that `{:?}` makes of it.

use super::{Fields, Struct, Value};
use crate::types::DEPTH;

impl Value {
    /// The value whose `Debug` text is `text`. `None` for text that a derived
    /// `Debug` does not make.
    #[must_use]
    pub fn from_debug(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value(DEPTH)?;
        reader.rest.is_empty().then_some(value)
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// Takes `token` if it is next, and the blanks after it.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        taken
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        match self.rest.chars().next()? {
            '"' => self.text().map(Value::Text),
            '\'' => self.char().map(Value::Char),
            '[' => {
                self.take("[");
                self.list("]", depth).map(Value::Array)
            }
            '(' => self.structure(String::new(), depth),
            '-' | '0'..='9' => self.number(),
            c if is_name(c) => {
                let name = self.take_while(is_name);
                match name {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    "NaN" => Some(Value::Float(f64::NAN)),
                    "inf" => Some(Value::Float(f64::INFINITY)),
                    name => self.structure(name.into(), depth),
                }
            }
            _ => None,
        }
    }

    /// What follows a struct's name.
    fn structure(&mut self, name: String, depth: usize) -> Option<Value> {
        let fields = if self.take("(") {
            match self.list(")", depth)? {
                fields if fields.is_empty() && name.is_empty() => Fields::None,
                fields => Fields::Positional(fields),
            }
        } else if self.take("{") {
            Fields::Named(self.fields(depth)?)
        } else {
            Fields::None
        };
        Some(Value::Struct(Struct { name, fields }))
    }

    fn fields(&mut self, depth: usize) -> Option<Vec<(String, Value)>> {
        let mut fields = Vec::new();
        while !self.take("}") {
            let name = self.take_while(is_name);
            if name.is_empty() || !self.take(":") {
                return None;
            }
            fields.push((name.to_owned(), self.value(depth)?));
            if !self.take(",") && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(fields)
    }

    fn list(&mut self, end: &str, depth: usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !self.take(end) {
            values.push(self.value(depth)?);
            if !self.take(",") && !self.rest.starts_with(end) {
                return None;
            }
        }
        Some(values)
    }

    fn number(&mut self) -> Option<Value> {
        if let Some(digits) = self.rest.strip_prefix("0x") {
            self.rest = digits;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            return u128::from_str_radix(digits, 16).ok().map(Value::Unsigned);
        }
        let is_digit = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e');
        if self.rest.starts_with("-inf") {
            self.rest = self.rest["-inf".len()..].trim_start();
            return Some(Value::Float(f64::NEG_INFINITY));
        }
        let digits = self.take_while(is_digit);
        if let Ok(number) = digits.parse::<u128>() {
            return Some(Value::Unsigned(number));
        }
        match digits.parse::<i128>() {
            Ok(number) => Some(Value::signed(number)),
            Err(_) => digits.parse().ok().map(Value::Float),
        }
    }

    fn char(&mut self) -> Option<char> {
        self.rest = self.rest.strip_prefix('\'')?;
        let char = self.one()?;
        self.rest = self.rest.strip_prefix('\'')?.trim_start();
        Some(char)
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('"') {
                self.rest = rest.trim_start();
                return Some(text);
            }
            text.push(self.one()?);
        }
    }

    /// A character of text, escaped or not.
    fn one(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let mut char = chars.next()?;
        if char == '\\' {
            char = match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let (code, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                    self.rest = rest;
                    return char::from_u32(u32::from_str_radix(code, 16).ok()?);
                }
                same => same,
            };
        }
        self.rest = chars.as_str();
        Some(char)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq};

    #[derive(Clone, Debug)]
    #[allow(dead_code, reason = "only its Debug text is looked at")]
    enum Sample {
        Alone,
        Pair(u8, Option<i64>),
        Named { text: String, inner: Box<Sample>, many: Vec<(bool, char)> },
    }

    fn sample(depth: u32, n: u64, text: &str) -> Sample {
        match (depth, n % 3) {
            (0, _) => Sample::Alone,
            (_, 0) => Sample::Pair(n as u8, Some(n as i64 - (1 << 40))),
            (_, 1) => Sample::Pair(n as u8, None),
            _ => Sample::Named {
                text: text.into(),
                inner: Box::new(sample(depth - 1, n / 3, text)),
                many: text.chars().map(|c| (c.is_ascii(), c)).collect(),
            },
        }
    }

    /// A value's `Debug` text again.
    fn written(value: &Value) -> String {
        use crate::value::{Fields, Struct};
        let list = |values: &[Value]| values.iter().map(written).collect::<Vec<_>>().join(", ");
        match value {
            Value::Unsigned(number) => number.to_string(),
            Value::Negative(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Bool(is) => is.to_string(),
            Value::Char(char) => format!("{char:?}"),
            Value::Text(text) => format!("{text:?}"),
            Value::Array(values) => format!("[{}]", list(values)),
            Value::Struct(Struct { name, fields }) => match fields {
                Fields::None => name.clone(),
                Fields::Positional(fields) => format!("{name}({})", list(fields)),
                Fields::Named(fields) => {
                    let fields: Vec<String> =
                        fields.iter().map(|(n, v)| format!("{n}: {}", written(v))).collect();
                    format!("{name} {{ {} }}", fields.join(", "))
                }
            },
            other => format!("{other:?}"),
        }
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_debug_writes_is_read(n in any::<u64>(), text in ".{0,12}", depth in 0..6_u32) {
            let debug = format!("{:?}", sample(depth, n, &text));
            let value = Value::from_debug(&debug);
            prop_assert_eq!(value.as_ref().map(written), Some(debug));
        }

        #[test]
        fn any_text_is_a_value_or_none(text in ".{0,40}") {
            if let Some(value) = Value::from_debug(&text) {
                let again = Value::from_debug(&written(&value));
                prop_assert_eq!(again.as_ref().map(written), Some(written(&value)));
            }
        }

        #[test]
        fn brackets_without_end_are_none(n in 1..200_usize, open in "[\\[(]|A\\(|B \\{ c: ") {
            prop_assert_eq!(Value::from_debug(&open.repeat(n)), None);
        }
    }
}
