//! `#[derive(Packed)]`.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Member, Path, Result, parse_quote};

/// Variants whose number fits the byte that it travels in.
const MAX_VARIANTS: usize = 256;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let packed = crate_path(&input.attrs)?;
    let name = &input.ident;
    let (size, pack, unpack) = match &input.data {
        Data::Struct(data) => {
            let Parts { names, members, size, pack, unpack } = Parts::of(&data.fields, &packed);
            (
                size,
                quote!(let Self { #(#members: #names,)* } = self; #pack),
                quote!(Some(Self { #unpack })),
            )
        }
        Data::Enum(data) => {
            if data.variants.len() > MAX_VARIANTS {
                return Err(Error::new_spanned(name, "Packed: more variants than a byte has"));
            }
            let (mut sizes, mut packs, mut unpacks) = (Vec::new(), Vec::new(), Vec::new());
            for (number, variant) in data.variants.iter().enumerate() {
                let variant_name = &variant.ident;
                let number = Literal::usize_unsuffixed(number);
                let Parts { names, members, size, pack, unpack } =
                    Parts::of(&variant.fields, &packed);
                sizes.push(size);
                packs.push(quote! {
                    Self::#variant_name { #(#members: #names,)* } => {
                        packed_to.number(#number, 1);
                        #pack
                    }
                });
                unpacks.push(quote!(#number => Some(Self::#variant_name { #unpack }),));
            }
            (
                quote!(1 + #packed::largest(&[#(#sizes),*])),
                quote!(match self { #(#packs)* }),
                quote!(match packed_from.number(1) { #(#unpacks)* _ => None }),
            )
        }
        Data::Union(_) => {
            return Err(Error::new_spanned(name, "Packed: a union does not say what it is"));
        }
    };
    Ok(quote! {
        impl #packed::Packed for #name {
            const MAX_SIZE: usize = #size;

            #[allow(unused_variables)]
            fn pack(&self, packed_to: &mut #packed::Writer<'_>) {
                #pack
            }

            #[allow(unused_variables)]
            fn unpack(
                packed_from: &mut #packed::Reader<'_>,
            ) -> ::core::option::Option<Self> {
                #unpack
            }
        }
    })
}

/// What the fields of a struct or a variant come to.
struct Parts {
    /// Names to bind them to.
    names: Vec<syn::Ident>,
    members: Vec<Member>,
    size: TokenStream,
    pack: TokenStream,
    unpack: TokenStream,
}

impl Parts {
    fn of(fields: &Fields, packed: &Path) -> Self {
        let members: Vec<Member> = fields.members().collect();
        let names: Vec<_> = (0..members.len()).map(|n| format_ident!("packed_{n}")).collect();
        let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
        Self {
            size: quote!(0 #(+ <#types as #packed::Packed>::MAX_SIZE)*),
            pack: quote!(#(#packed::Packed::pack(#names, packed_to);)*),
            unpack: quote!(#(#members: <#types as #packed::Packed>::unpack(packed_from)?,)*),
            names,
            members,
        }
    }
}

/// The crate `packed`: `::packed`, or what `#[packed(crate = "…")]` says.
fn crate_path(attributes: &[Attribute]) -> Result<Path> {
    let mut path = parse_quote!(::packed);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("packed")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("Packed: expected `crate = \"…\"`"));
            }
            path = meta.value()?.parse::<LitStr>()?.parse()?;
            Ok(())
        })?;
    }
    Ok(path)
}
