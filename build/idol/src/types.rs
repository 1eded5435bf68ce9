//! The Rust types, paths and names that an interface writes as text.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use crate::diagnostic::Position;
use crate::fields::Complaints;

/// Integers that a `FromPrimitive` value can travel as.
pub(crate) const PRIMITIVES: [&str; 8] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];

/// Complains unless `text` is a type whose value owns all of itself.
pub(crate) fn check_owned(text: &str, at: Position, complaints: &mut Complaints) -> Option<()> {
    let expected = "an owned Rust type: a path, an array or a tuple";
    match syn::parse_str::<syn::Type>(text) {
        Ok(ty) if is_owned(&ty) => Some(()),
        Ok(_) => {
            complaints.add(at, format!("type `{text}` cannot travel"), expected);
            None
        }
        Err(error) => {
            complaints.add(at, format!("type `{text}` does not parse ({error})"), expected);
            None
        }
    }
}

/// Complains unless `text` is an owned type, or a slice of one.
pub(crate) fn check_lendable(text: &str, at: Position, complaints: &mut Complaints) -> Option<()> {
    match syn::parse_str::<syn::Type>(text) {
        Ok(syn::Type::Slice(slice)) if is_owned(&slice.elem) => Some(()),
        Ok(syn::Type::Slice(_)) => {
            complaints.add(at, format!("type `{text}` cannot be lent"), "a slice of owned values");
            None
        }
        _ => check_owned(text, at, complaints),
    }
}

/// Complains unless `text` is the path of a type or a function.
pub(crate) fn check_path(text: &str, at: Position, complaints: &mut Complaints) -> Option<()> {
    match syn::parse_str::<syn::Path>(text) {
        Ok(_) => Some(()),
        Err(error) => {
            complaints.add(at, format!("path `{text}` does not parse ({error})"), "a Rust path");
            None
        }
    }
}

fn is_owned(ty: &syn::Type) -> bool {
    let shape = match ty {
        syn::Type::Path(path) => path.qself.is_none(),
        syn::Type::Array(array) => is_owned(&array.elem),
        syn::Type::Tuple(tuple) => tuple.elems.iter().all(is_owned),
        syn::Type::Paren(inner) => is_owned(&inner.elem),
        _ => false,
    };
    // Generic arguments may hide what the shape does not show.
    shape
        && !any_token(&ty.to_token_stream(), &|token| match token {
            TokenTree::Punct(punct) => matches!(punct.as_char(), '&' | '*' | '\'' | '!'),
            TokenTree::Ident(ident) => {
                matches!(&*ident.to_string(), "Self" | "dyn" | "impl" | "fn" | "_" | "str")
            }
            _ => false,
        })
}

/// The first identifier anywhere in the type `text` for which `pick` is true.
pub(crate) fn find_ident(text: &str, pick: impl Fn(&str) -> bool) -> Option<String> {
    let tokens: TokenStream = text.parse().ok()?;
    let found = std::cell::RefCell::new(None);
    any_token(&tokens, &|token| match token {
        TokenTree::Ident(ident) if pick(&ident.to_string()) => {
            *found.borrow_mut() = Some(ident.to_string());
            true
        }
        _ => false,
    });
    found.into_inner()
}

fn any_token(tokens: &TokenStream, pick: &impl Fn(&TokenTree) -> bool) -> bool {
    tokens.clone().into_iter().any(|token| match &token {
        TokenTree::Group(group) => any_token(&group.stream(), pick),
        _ => pick(&token),
    })
}

/// Complains unless `text` is a Rust identifier in snake case that generated
/// code has not taken for itself.
pub(crate) fn check_snake(text: &str, at: Position, complaints: &mut Complaints) -> Option<()> {
    let expected = "a Rust identifier in snake_case that does not start with `idol_`";
    let snake = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !text.starts_with("idol_")
        && syn::parse_str::<syn::Ident>(text).is_ok();
    if !snake {
        complaints.add(at, format!("bad name `{text}`"), expected);
    }
    snake.then_some(())
}

/// Complains unless `text` is an identifier in upper camel case.
pub(crate) fn check_camel(text: &str, at: Position, complaints: &mut Complaints) -> Option<()> {
    let camel = text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
        && syn::parse_str::<syn::Ident>(text).is_ok();
    if !camel {
        let expected = "a Rust identifier in UpperCamelCase";
        complaints.add(at, format!("bad interface name `{text}`"), expected);
    }
    camel.then_some(())
}
