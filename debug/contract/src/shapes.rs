//! Types by their shape, as Humility looks for them.

use crate::image::Program;
use view::types::{Encoding, Struct, Type, TypeId, Types};

/// The struct of that name.
pub(crate) fn structure<'p>(program: &'p Program<'_>, name: &str) -> Result<&'p Struct, String> {
    let types = program.types();
    let found = types.named(name).and_then(|of| types.structure(of));
    found.ok_or_else(|| format!("`{}` has no struct {name}", program.name))
}

/// The type of member `name`.
pub(crate) fn member(of: &Struct, name: &str) -> Result<TypeId, String> {
    let found = of.member(name).map(|member| member.of);
    found.ok_or_else(|| format!("{} has no {name}", of.name))
}

/// Whether it is a number without a sign, of so many bytes.
pub(crate) fn is_unsigned(types: &Types, of: TypeId, bytes: usize) -> bool {
    matches!(types.get(of), Some(Type::Base(base))
        if base.encoding == Encoding::Unsigned && base.size == bytes)
}

/// Whether it is a struct around one such number.
pub(crate) fn is_tuple_of(types: &Types, of: TypeId, bytes: usize) -> bool {
    types.structure(of).is_some_and(|of| {
        of.is_tuple() && of.members.len() == 1 && is_unsigned(types, of.members[0].of, bytes)
    })
}

/// Names of the variants of an enum; none when it is no enum.
pub(crate) fn variants(types: &Types, of: TypeId) -> Option<Vec<&str>> {
    match types.get(of)? {
        Type::Enum(of) => Some(of.variants.iter().map(|v| v.payload.name.as_str()).collect()),
        Type::CEnum(of) => Some(of.variants.iter().map(|v| v.0.as_str()).collect()),
        _ => None,
    }
}

/// The payload of variant `name` of an enum.
pub(crate) fn payload<'t>(types: &'t Types, of: TypeId, name: &str) -> Option<&'t Struct> {
    let Some(Type::Enum(of)) = types.get(of) else { return None };
    let variant = of.variants.iter().find(|variant| variant.payload.name == name)?;
    types.structure(variant.payload.of)
}

/// Types in types that are followed: deeper is nothing that a program has.
const DEPTH: usize = 32;

/// Why Humility cannot decode a value of this type, if it cannot. It knows
/// numbers, truth values, structs, arrays, enums, pointers, and of the unions
/// `MaybeUninit`.
pub(crate) fn undecodable(types: &Types, of: TypeId) -> Option<String> {
    within(types, of, DEPTH)
}

fn within(types: &Types, of: TypeId, depth: usize) -> Option<String> {
    let Some(depth) = depth.checked_sub(1) else { return Some("types without end".into()) };
    let each =
        |members: Vec<TypeId>| members.into_iter().find_map(|member| within(types, member, depth));
    match types.get(of) {
        None => Some("a type that is not described".into()),
        Some(Type::Alias(_)) => Some("a circle of names".into()),
        Some(Type::Base(base)) => {
            let known = match base.encoding {
                Encoding::Unsigned => [0, 1, 2, 4, 8, 16].contains(&base.size),
                Encoding::Signed => [1, 2, 4, 8, 16].contains(&base.size),
                Encoding::Bool => base.size == 1,
                Encoding::Float => [4, 8].contains(&base.size),
                Encoding::Char => false,
            };
            (!known).then(|| format!("{} of {} bytes", base.name, base.size))
        }
        Some(Type::Struct(of)) => each(of.members.iter().map(|member| member.of).collect()),
        Some(Type::Union(of)) => match of.member("value") {
            Some(inside) if of.name.contains("MaybeUninit") => within(types, inside.of, depth),
            _ => Some(format!("union {}", of.name)),
        },
        Some(Type::Enum(of)) => {
            each(of.variants.iter().map(|variant| variant.payload.of).collect())
        }
        Some(Type::CEnum(_)) => None,
        Some(Type::Array(of)) => within(types, of.of, depth),
        // It is shown as a number, by its name, and not followed.
        Some(Type::Pointer(of)) => of.to.is_none().then(|| format!("{} to nothing", of.name)),
    }
}
