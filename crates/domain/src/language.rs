//! The languages that people are spoken to in.

wire_enum! {
    /// A language; its word is also its BCP 47 tag.
    Language {
        /// English.
        En = "en",
        /// Norwegian bokmål.
        Nb = "nb",
        /// Norwegian nynorsk.
        Nn = "nn",
    }
}
