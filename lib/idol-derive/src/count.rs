//! `#[derive(Count)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Result, Type, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Count: expected an enum"));
    };
    let (name, vis) = (&input.ident, &input.vis);
    let (impl_generics, type_generics, bounds) = input.generics.split_for_impl();
    let counts = format_ident!("{name}Counts");
    let doc = format!("How often each [`{name}`] happened.");
    let (mut fields, mut fresh, mut arms) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        let ident = &variant.ident;
        let (of, new) = match way(variant)? {
            Way::Skipped => {
                arms.push(quote!(Self::#ident { .. } => {}));
                continue;
            }
            Way::Once => {
                arms.push(quote!(Self::#ident { .. } => counters.#ident.increment(),));
                (quote!(::counters::AtomicU32), quote!(::counters::AtomicU32::new(0)))
            }
            Way::Children(child) => {
                arms.push(quote!(Self::#ident(child) => ::counters::Count::count(child, &counters.#ident),));
                let count = quote!(<#child as ::counters::Count>);
                (quote!(#count::Counters), quote!(#count::NEW_COUNTERS))
            }
        };
        let doc = format!("Times that `{ident}` happened.");
        fields.push(quote!(#[doc = #doc] pub #ident: #of,));
        fresh.push(quote!(#ident: #new,));
    }
    // An enum without variants has nothing to match by reference.
    let count = if data.variants.is_empty() {
        quote!(match *self {})
    } else {
        quote!(match self { #(#arms)* })
    };
    let unused = fields.is_empty().then(|| quote!(let _ = counters;));
    Ok(quote! {
        #[doc = #doc]
        #[derive(Debug)]
        // In the order of the variants, for whoever knows the enum.
        #[repr(C)]
        #[allow(non_snake_case, reason = "the fields are named like the variants")]
        #vis struct #counts {
            #(#fields)*
        }

        impl #impl_generics ::counters::Count for #name #type_generics #bounds {
            type Counters = #counts;

            #[allow(clippy::declare_interior_mutable_const, reason = "a fresh set each time")]
            const NEW_COUNTERS: #counts = #counts {
                #(#fresh)*
            };

            fn count(&self, counters: &#counts) {
                #unused
                #count
            }
        }
    })
}

/// How a variant is counted.
enum Way<'v> {
    /// With a counter of its own.
    Once,
    /// By the counters of its one field, of this type.
    Children(&'v Type),
    /// Not at all.
    Skipped,
}

fn way(variant: &Variant) -> Result<Way<'_>> {
    let mut way = Way::Once;
    for attribute in variant.attrs.iter().filter(|a| a.path().is_ident("count")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                way = Way::Skipped;
                return Ok(());
            }
            if !meta.path.is_ident("children") {
                return Err(meta.error("expected `skip` or `children`"));
            }
            let Fields::Unnamed(fields) = &variant.fields else {
                return Err(meta.error("`children` wants one field without a name"));
            };
            let (Some(child), 1) = (fields.unnamed.first(), fields.unnamed.len()) else {
                return Err(meta.error("`children` wants one field without a name"));
            };
            way = Way::Children(&child.ty);
            Ok(())
        })?;
    }
    Ok(way)
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::derive;

    #[test]
    fn only_enums_are_counted() {
        let refusal = derive(&parse_quote!(
            struct S;
        ))
        .expect_err("no variants to count");
        assert_eq!(refusal.to_string(), "Count: expected an enum");
    }

    #[test]
    fn misspelt_skip_is_refused() {
        let refusal = derive(&parse_quote!(
            enum E {
                #[count(skipp)]
                A,
            }
        ))
        .expect_err("misspelt");
        assert_eq!(refusal.to_string(), "expected `skip` or `children`");
    }

    #[test]
    fn children_are_those_of_one_field() {
        for input in [
            parse_quote!(
                enum E {
                    #[count(children)]
                    A,
                }
            ),
            parse_quote!(
                enum E {
                    #[count(children)]
                    A(B, C),
                }
            ),
            parse_quote!(
                enum E {
                    #[count(children)]
                    A { b: B },
                }
            ),
        ] {
            let refusal = derive(&input).expect_err("not one field");
            assert_eq!(refusal.to_string(), "`children` wants one field without a name");
        }
    }
}
