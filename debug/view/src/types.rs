//! Types and variables of a program, as its debug information describes them.

use addr::Virt;
use std::collections::HashMap;

/// Which type: where its description stands in `.debug_info`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub usize);

/// A type.
#[derive(Clone, Debug)]
pub enum Type {
    /// A number, a truth value, a character, or `()`.
    Base(Base),
    /// A struct or a tuple.
    Struct(Struct),
    /// A union. Of these only `MaybeUninit` means something here.
    Union(Struct),
    /// An enum with a payload in at least one variant.
    Enum(Enum),
    /// An enum without payloads.
    CEnum(CEnum),
    /// An array.
    Array(Array),
    /// A pointer or a reference.
    Pointer(Pointer),
    /// Another name of a type.
    Alias(TypeId),
}

/// How the bits of a [`Base`] are read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A number from 0 up.
    Unsigned,
    /// A number in two's complement.
    Signed,
    /// A truth value.
    Bool,
    /// A character.
    Char,
    /// A number in IEEE 754.
    Float,
}

/// A number, a truth value, a character, or `()`.
#[derive(Clone, Debug)]
pub struct Base {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub encoding: Encoding,
    /// Bytes; 0 of `()`.
    pub size: usize,
}

/// A struct or a tuple.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// Its name, without the modules it is in.
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// Its members.
    pub members: Vec<Member>,
}

impl Struct {
    /// The member of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Whether its members go by position.
    #[must_use]
    pub fn is_tuple(&self) -> bool {
        let position = |(n, member): (usize, &Member)| member.name == format!("__{n}");
        !self.members.is_empty() && self.members.iter().enumerate().all(position)
    }
}

/// A member of a struct.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Bytes from the struct's beginning.
    pub offset: usize,
    /// Its type.
    pub of: TypeId,
}

/// An enum with a payload in at least one variant.
#[derive(Clone, Debug, Default)]
pub struct Enum {
    /// Its name, without the modules it is in.
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// What tells the variants apart; none when there is one.
    pub tag: Option<Member>,
    /// Its variants.
    pub variants: Vec<Variant>,
}

/// A variant of an [`Enum`].
#[derive(Clone, Debug)]
pub struct Variant {
    /// The tag that says it is this one; `None` for every tag of no other.
    pub tag: Option<u128>,
    /// Name, place and type of its payload, a struct.
    pub payload: Member,
}

/// An enum without payloads.
#[derive(Clone, Debug, Default)]
pub struct CEnum {
    /// Its name, without the modules it is in.
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// Names, with their values cut to the enum's size.
    pub variants: Vec<(String, u128)>,
}

/// An array.
#[derive(Clone, Debug)]
pub struct Array {
    /// What it is made of.
    pub of: TypeId,
    /// How many.
    pub count: u64,
}

/// A pointer or a reference.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// Its name, with the mark of a pointer or a reference.
    pub name: String,
    /// What it points to.
    pub to: Option<TypeId>,
}

/// A variable with a fixed place.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, with the modules it is in unless it has a name for linkers.
    pub name: String,
    /// Where it is, or the first piece of it.
    pub at: Virt,
    /// Its type.
    pub of: TypeId,
    /// Where its pieces are: the compiler may lay parts of a variable apart.
    pub(crate) pieces: Vec<Piece>,
}

/// A piece of a variable.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Piece {
    /// How far in the variable it begins.
    pub(crate) offset: u64,
    /// Bytes; more than there are when it is the variable's rest.
    pub(crate) size: u64,
    /// Where it is.
    pub(crate) at: Virt,
}

impl Variable {
    /// Where that part of it is which begins `offset` bytes in it. `None` when
    /// the compiler left it out.
    #[must_use]
    pub fn place_of(&self, offset: u64) -> Option<Virt> {
        let within = |piece: &Piece| offset.checked_sub(piece.offset).filter(|&n| n < piece.size);
        self.pieces.iter().find_map(|piece| Some(piece.at.plus(within(piece)?)))
    }

    /// Its name, without the modules it is in.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or(&self.name)
    }

    /// Whether `name` is its name, with or without the modules it is in.
    #[must_use]
    pub fn goes_by(&self, name: &str) -> bool {
        self.name == name
            || self.name.strip_suffix(name).is_some_and(|module| module.ends_with("::"))
    }
}

/// The types and variables of one program.
#[derive(Clone, Debug, Default)]
pub struct Types {
    pub(crate) types: HashMap<TypeId, Type>,
    pub(crate) variables: Vec<Variable>,
}

/// Aliases of aliases that are followed: more are a circle.
const ALIASES: usize = 8;

impl Types {
    /// Types that no program describes.
    #[must_use]
    pub fn new(types: impl IntoIterator<Item = (TypeId, Type)>) -> Self {
        Self { types: types.into_iter().collect(), variables: Vec::new() }
    }

    /// Type `id`, by its first name. `None` when the debug information does not
    /// describe it.
    #[must_use]
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        let mut id = id;
        for _ in 0..ALIASES {
            match self.types.get(&id)? {
                Type::Alias(to) => id = *to,
                found => return Some(found),
            }
        }
        None
    }

    /// All types, in no order.
    pub fn all(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types.iter().map(|(id, of)| (*id, of))
    }

    /// Type `id`, if it is a struct.
    #[must_use]
    pub fn structure(&self, id: TypeId) -> Option<&Struct> {
        match self.get(id)? {
            Type::Struct(found) => Some(found),
            _ => None,
        }
    }

    /// The struct of that name, without the modules it is in.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TypeId> {
        let is = |of: &&TypeId| self.structure(**of).is_some_and(|of| of.name == name);
        self.types.keys().filter(is).min().copied()
    }

    /// Every struct, enum and number of that name, without the modules they are in.
    #[must_use]
    pub fn every(&self, name: &str) -> Vec<TypeId> {
        let is = |of: &&TypeId| {
            matches!(
                self.get(**of),
                Some(Type::Base(_) | Type::Struct(_) | Type::Enum(_) | Type::CEnum(_))
            ) && self.name(**of) == name
        };
        let mut every: Vec<_> = self.types.keys().filter(is).copied().collect();
        every.sort();
        every
    }

    /// The array that a type is, or that structs around nothing else hold.
    #[must_use]
    pub fn array(&self, id: TypeId) -> Option<&Array> {
        let mut id = id;
        for _ in 0..DEPTH {
            match self.get(id)? {
                Type::Array(of) => return Some(of),
                Type::Struct(of) if of.members.len() == 1 => id = of.members[0].of,
                Type::Union(of) => id = of.member("value")?.of,
                _ => return None,
            }
        }
        None
    }

    /// Bytes of type `id`.
    #[must_use]
    pub fn size(&self, id: TypeId) -> Option<usize> {
        self.size_within(id, DEPTH)
    }

    fn size_within(&self, id: TypeId, depth: usize) -> Option<usize> {
        match self.get(id)? {
            Type::Base(base) => Some(base.size),
            Type::Struct(of) | Type::Union(of) => Some(of.size),
            Type::Enum(of) => Some(of.size),
            Type::CEnum(of) => Some(of.size),
            Type::Pointer(_) => Some(POINTER),
            Type::Array(of) => {
                let element = self.size_within(of.of, depth.checked_sub(1)?)?;
                element.checked_mul(usize::try_from(of.count).ok()?)
            }
            Type::Alias(_) => None,
        }
    }

    /// Name of type `id`.
    #[must_use]
    pub fn name(&self, id: TypeId) -> String {
        self.name_within(id, DEPTH)
    }

    fn name_within(&self, id: TypeId, depth: usize) -> String {
        match self.get(id) {
            Some(Type::Base(base)) => base.name.clone(),
            Some(Type::Struct(of) | Type::Union(of)) => of.name.clone(),
            Some(Type::Enum(of)) => of.name.clone(),
            Some(Type::CEnum(of)) => of.name.clone(),
            Some(Type::Pointer(of)) => of.name.clone(),
            Some(Type::Array(of)) if depth > 0 => {
                format!("[{}; {}]", self.name_within(of.of, depth - 1), of.count)
            }
            _ => "?".into(),
        }
    }

    /// All variables, by name.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The first variable that goes by `name`.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.goes_by(name))
    }
}

/// Arrays in arrays, and values in values, that are followed. Deeper is what no
/// program has, only a damaged description.
pub(crate) const DEPTH: usize = 24;

/// Bytes of a pointer: the target has 32 bits.
pub(crate) const POINTER: usize = 4;
