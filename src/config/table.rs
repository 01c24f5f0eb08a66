//! What becomes of the table of keys: a struct for each section, the list of all keys, and how values become the configuration.
//! The names in it are those of the file that has the table.

macro_rules! keys {
    ($( $(#[doc = $about:literal])* $prefix:literal $section:ident: $Section:ident {
        $( $(#[doc = $doc:literal])* $field:ident: $kind:ty = $default:literal, )*
    } )*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug)]
            pub struct $Section { $( $(#[doc = $doc])* pub $field: $kind, )* }
        )*

        /// The whole configuration, every value present and of its type.
        #[derive(Clone, Debug)]
        pub struct Config { $( pub $section: $Section, )* }

        /// Every key, in the order the documentation lists them.
        pub const KEYS: &[Key] = &[$( $(
            Key {
                name: concat!($prefix, stringify!($field)),
                kind: <$kind as Setting>::KIND,
                default: $default,
                doc: concat!($($doc),*),
                secret: <$kind as Setting>::SECRET,
            },
        )* )*];

        impl Config {
            /// Builds the typed values, or reports every value that is not what its key expects.
            pub(super) fn build(values: &Values) -> Result<Self, ConfigError> {
                let mut problems: Vec<Problem> = Vec::new();
                $( $( problems.extend(values.typed::<$kind>(concat!($prefix, stringify!($field))).err()); )* )*
                if !problems.is_empty() {
                    return Err(ConfigError::Problems(problems));
                }
                Ok(Self { $(
                    $section: $Section { $( $field: values.typed(concat!($prefix, stringify!($field)))?, )* },
                )* })
            }
        }
    };
}

pub(super) use keys;
