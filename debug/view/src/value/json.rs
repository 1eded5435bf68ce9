//! A value for programs, in the shape that serde gives enums and structs.

use super::{Fields, Struct, Value};
use serde_json::{Map, Value as Json, json};

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Unsigned(number) => match u64::try_from(*number) {
                Ok(number) => number.into(),
                // No number of JSON's holds it everywhere.
                Err(_) => number.to_string().into(),
            },
            Value::Negative(number) => match i64::try_from(*number) {
                Ok(number) => number.into(),
                Err(_) => number.to_string().into(),
            },
            Value::Float(number) => json!(number),
            Value::Bool(is) => (*is).into(),
            Value::Char(char) => char.to_string().into(),
            Value::Text(text) => text.as_str().into(),
            Value::Struct(of) => structure(of),
            Value::Array(values) => list(values),
            Value::Pointer(to, name) => json!({ "pointer": to, "type": name }),
            Value::Invalid(why) => json!({ "invalid": why }),
        }
    }
}

fn list(values: &[Value]) -> Json {
    values.iter().map(Json::from).collect::<Vec<_>>().into()
}

fn structure(of: &Struct) -> Json {
    let inside = match &of.fields {
        Fields::None => return of.name.as_str().into(),
        Fields::Positional(fields) => match &fields[..] {
            [field] if !of.name.is_empty() => Json::from(field),
            fields => list(fields),
        },
        Fields::Named(fields) => {
            Json::Object(fields.iter().map(|(name, v)| (name.clone(), v.into())).collect())
        }
    };
    if of.name.is_empty() {
        return inside;
    }
    Json::Object(Map::from_iter([(of.name.clone(), inside)]))
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use serde_json::Value as Json;

    #[test]
    fn variants_look_as_serde_writes_them() {
        let json = |text: &str| Json::from(&Value::from_debug(text).expect(text)).to_string();
        assert_eq!(json("None"), r#""None""#);
        assert_eq!(json("Refused(NotYet)"), r#"{"Refused":"NotYet"}"#);
        assert_eq!(
            json("Died { task: 3, codes: [1, -2] }"),
            r#"{"Died":{"codes":[1,-2],"task":3}}"#
        );
        assert_eq!(json("Moved(1, 2)"), r#"{"Moved":[1,2]}"#);
        assert_eq!(json("(\"a\", 'b', true)"), r#"["a","b",true]"#);
    }
}
