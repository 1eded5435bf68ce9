//! Derives for error enums, counted events and what travels in messages.
//!
//! `IdolError` makes an enum the error of an interface (`idol_runtime`),
//! `Count` makes an enum's variants countable one by one (`counters`),
//! `Packed` makes a type travel in messages (`packed`). The
//! code they generate names those crates, which the using crate must have as
//! dependencies; it contains no `unsafe`.

mod count;
mod error;
mod packed;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes an enum the error of an interface.
///
/// One variant without fields carries `#[idol(server_death)]`; it is what a
/// client gets when the server died before it answered. An enum without any
/// fields also becomes a response code: it gets `From<E> for u32` and `u16`,
/// and `TryFrom<u32>`; its values must lie in 1 to 65535, since 0 says that
/// all went well:
///
/// ```compile_fail,E0080
/// #[derive(Copy, Clone, idol_derive::IdolError)]
/// enum Trouble {
///     #[idol(server_death)]
///     Died,
/// }
/// ```
///
/// ```
/// #[derive(Copy, Clone, idol_derive::IdolError)]
/// enum Trouble {
///     #[idol(server_death)]
///     Died = 1,
/// }
/// assert_eq!(u32::from(Trouble::Died), 1);
/// ```
#[proc_macro_derive(IdolError, attributes(idol))]
pub fn derive_idol_error(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    error::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the variants of an enum countable: a struct `<Enum>Counts` with one
/// counter per variant, named like the variant. A variant that carries
/// `#[count(skip)]` has none; one that carries `#[count(children)]` is counted by
/// what its one field is, which is countable itself.
#[proc_macro_derive(Count, attributes(count))]
pub fn derive_count(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    count::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or an enum travel in messages, in hubpack's format: fields in
/// their order, an enum as its variant's place in the enum (not its value) and
/// the variant's fields.
///
/// `#[packed(crate = "…")]` says where the crate `packed` is, for generated
/// code.
#[proc_macro_derive(Packed, attributes(packed))]
pub fn derive_packed(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    packed::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
