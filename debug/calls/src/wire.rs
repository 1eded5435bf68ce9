//! Values as they travel: hubpack's format, by the types that debug information
//! describes.
//!
//! Numbers are little-endian, fields come in their order, a variant is its number
//! in a byte with what it carries behind it.

use view::types::{Base, Encoding, Type};
use view::{Fields, Struct, TypeId, Types, Value};

/// Values in values that are followed.
const DEPTH: usize = 16;

/// The most bytes that a value of type `of` takes. `None` of a type that does not
/// travel.
#[must_use]
pub fn largest(types: &Types, of: TypeId) -> Option<usize> {
    largest_within(types, of, DEPTH)
}

fn largest_within(types: &Types, of: TypeId, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    match types.get(of)? {
        Type::Base(base) => Some(base.size),
        Type::Struct(of) => {
            of.members.iter().try_fold(0, |sum, m| Some(sum + largest_within(types, m.of, depth)?))
        }
        Type::CEnum(_) => Some(1),
        Type::Enum(of) => {
            let payload = |v: &view::types::Variant| largest_within(types, v.payload.of, depth);
            let payloads: Option<Vec<_>> = of.variants.iter().map(payload).collect();
            Some(1 + payloads?.into_iter().max().unwrap_or(0))
        }
        Type::Array(of) => {
            largest_within(types, of.of, depth)?.checked_mul(usize::try_from(of.count).ok()?)
        }
        Type::Union(_) | Type::Pointer(_) | Type::Alias(_) => None,
    }
}

/// Appends `value` as a value of type `of`.
///
/// # Errors
/// Why it is none.
pub fn pack(types: &Types, of: TypeId, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match types.get(of) {
        Some(Type::Base(base)) => scalar(base, value, out),
        Some(Type::Struct(of)) => {
            let members = of.members.iter().map(|member| (member.name.as_str(), member.of));
            fields(types, &of.name, &members.collect::<Vec<_>>(), value, out)
        }
        Some(Type::CEnum(of)) => {
            let names: Vec<_> = of.variants.iter().map(|(name, _)| name.as_str()).collect();
            let number = variant(&names, &of.name, value)?;
            out.push(number);
            Ok(())
        }
        Some(Type::Enum(of)) => {
            let names: Vec<_> = of.variants.iter().map(|v| v.payload.name.as_str()).collect();
            let number = variant(&names, &of.name, value)?;
            out.push(number);
            let payload = &of.variants[usize::from(number)].payload;
            match types.structure(payload.of) {
                Some(inside) if inside.members.is_empty() => Ok(()),
                _ => pack(types, payload.of, value, out),
            }
        }
        Some(Type::Array(array)) => {
            let elements = value.children();
            if elements.len() as u64 != array.count {
                let found = elements.len();
                return Err(format!("{found} elements, and there are {}", array.count));
            }
            elements.iter().try_for_each(|(_, element)| pack(types, array.of, element, out))
        }
        _ => Err("a type that does not travel".to_owned()),
    }
}

fn fields(
    types: &Types,
    name: &str,
    members: &[(&str, TypeId)],
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    // What is around one value alone may be left out.
    if let ([(_, of)], Value::Unsigned(_) | Value::Negative(_) | Value::Bool(_)) = (members, value)
    {
        return pack(types, *of, value, out);
    }
    let known = || members.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match value {
        Value::Struct(Struct { fields: Fields::Named(given), .. }) => {
            if let Some((strange, _)) =
                given.iter().find(|(given, _)| !members.iter().any(|(name, _)| given == name))
            {
                return Err(format!("{name} has no `{strange}`; it has {}", known()));
            }
            for (member, of) in members {
                let field = value.field(member);
                let field = field.ok_or_else(|| format!("{name} lacks `{member}`"))?;
                pack(types, *of, field, out).map_err(|why| format!("{member}: {why}"))?;
            }
            Ok(())
        }
        Value::Struct(Struct { fields: Fields::Positional(given), .. })
            if given.len() == members.len() =>
        {
            members.iter().zip(given).try_for_each(|((_, of), field)| pack(types, *of, field, out))
        }
        Value::Struct(Struct { fields: Fields::None, .. }) if members.is_empty() => Ok(()),
        _ => Err(format!("no {name}; write {name} {{ {} }} with values", known())),
    }
}

/// The number of the variant that `value` names.
fn variant(names: &[&str], of: &str, value: &Value) -> Result<u8, String> {
    let name = value.name().unwrap_or_default();
    let number = names.iter().position(|known| *known == name);
    let number = number.and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| format!("no {of}; one of {}", names.join(", ")))
}

fn scalar(base: &Base, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let bits = 8 * base.size as u32;
    let number = match (value, base.encoding) {
        (_, _) if base.size == 0 => Some(0),
        (Value::Bool(is), Encoding::Bool) => Some(u128::from(*is)),
        (Value::Unsigned(number), Encoding::Unsigned) => {
            Some(*number).filter(|number| number.checked_shr(bits).unwrap_or(0) == 0)
        }
        (Value::Unsigned(number), Encoding::Signed) => {
            Some(*number).filter(|number| number.checked_shr(bits - 1).unwrap_or(0) == 0)
        }
        (Value::Negative(number), Encoding::Signed) => {
            let least = -1_i128.checked_shl(bits - 1).unwrap_or(i128::MIN);
            (*number >= least).then_some(number.cast_unsigned())
        }
        _ => None,
    };
    let number = number.ok_or_else(|| format!("no {}", base.name))?;
    out.extend(&number.to_le_bytes()[..base.size]);
    Ok(())
}

/// The value of type `of` at the start of `bytes`, which go on behind it.
///
/// # Errors
/// Why there is none.
pub fn unpack(types: &Types, of: TypeId, bytes: &mut &[u8]) -> Result<Value, String> {
    unpack_within(types, of, bytes, DEPTH)
}

fn unpack_within(
    types: &Types,
    of: TypeId,
    bytes: &mut &[u8],
    depth: usize,
) -> Result<Value, String> {
    let depth = depth.checked_sub(1).ok_or("a value inside itself")?;
    match types.get(of) {
        Some(Type::Base(base)) => {
            let taken = bytes.split_off(..base.size).ok_or("the reply is too short")?;
            Ok(view::scalar(base, taken))
        }
        Some(Type::Struct(of)) => {
            let members = of.members.iter();
            let value = |member: &view::types::Member| {
                Ok((member.name.clone(), unpack_within(types, member.of, bytes, depth)?))
            };
            let values = members.map(value).collect::<Result<Vec<_>, String>>()?;
            let fields = if values.is_empty() {
                Fields::None
            } else if of.is_tuple() {
                Fields::Positional(values.into_iter().map(|(_, value)| value).collect())
            } else {
                Fields::Named(values)
            };
            let name = if of.name.starts_with('(') { "" } else { &of.name };
            let name = name.split('<').next().unwrap_or_default();
            Ok(Value::Struct(Struct { name: name.to_owned(), fields }))
        }
        Some(Type::CEnum(of)) => {
            let number = byte(bytes)?;
            let variant = of.variants.get(usize::from(number));
            let (name, _) = variant.ok_or_else(|| format!("no variant {number} of {}", of.name))?;
            Ok(Value::unit(name))
        }
        Some(Type::Enum(of)) => {
            let number = byte(bytes)?;
            let variant = of.variants.get(usize::from(number));
            let variant = variant.ok_or_else(|| format!("no variant {number} of {}", of.name))?;
            match unpack_within(types, variant.payload.of, bytes, depth)? {
                Value::Struct(mut inside) => {
                    inside.name.clone_from(&variant.payload.name);
                    Ok(Value::Struct(inside))
                }
                other => Ok(other),
            }
        }
        Some(Type::Array(array)) => {
            let one = |_| unpack_within(types, array.of, bytes, depth);
            (0..array.count).map(one).collect::<Result<_, _>>().map(Value::Array)
        }
        _ => Err("a type that does not travel".to_owned()),
    }
}

fn byte(bytes: &mut &[u8]) -> Result<u8, String> {
    bytes.split_off_first().copied().ok_or_else(|| "the reply is too short".to_owned())
}

#[cfg(test)]
mod tests;
