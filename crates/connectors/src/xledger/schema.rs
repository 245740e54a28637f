//! What Xledger takes: its mass mutations and their fields, after its public documentation and public clients of its API.

/// One mass mutation.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Its name, which is a mapping's `entity`.
    pub name: &'static str,
    /// The type of its inputs.
    pub input: &'static str,
    /// The connection by which rows of its kind are read.
    pub rows: &'static str,
    /// Its rows carry `extIdentifier`, by which they are found again.
    pub identified: bool,
    /// It changes rows that are there, rather than adding others.
    pub updates: bool,
    scalars: &'static [&'static str],
    references: &'static [&'static str],
    addresses: &'static [&'static str],
}

/// The field that Syncwatch sets itself.
pub(super) const EXT_IDENTIFIER: &str = "extIdentifier";
/// What can say which row is meant.
const REFERENCE_MEMBERS: &[&str] = &["dbId", "dbSubId", "code", "description", "name", "ownerCode"];
const ADDRESS_MEMBERS: &[&str] = &["streetAddress", "zipCode", "place", "state", "country"];

impl Mutation {
    /// The mutation of a name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        MUTATIONS.iter().find(|mutation| mutation.name == name)
    }

    /// The names of all mutations.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        MUTATIONS.iter().map(|mutation| mutation.name)
    }

    /// Whether its nodes have a field of this name.
    pub(super) fn takes(&self, field: &str) -> bool {
        match field.split_once('.') {
            None => self.scalars.contains(&field),
            Some((object, member)) => {
                self.references.contains(&object) && REFERENCE_MEMBERS.contains(&member)
                    || self.addresses.contains(&object) && ADDRESS_MEMBERS.contains(&member)
            }
        }
    }
}

const SUPPLIER_SCALARS: &[&str] = &[
    "bankAccount",
    "bankRouting",
    "code",
    "companyName",
    "companyNumber",
    "dbId",
    "description",
    "email",
    "fromDate",
    "isIntraGroup",
    "name",
    "payDocText",
    "paymentNotification",
    "phone",
    "phoneNumber2",
    "place",
    "place2",
    "streetAddress",
    "streetAddress2",
    "swift",
    "taxNumber",
    "toDate",
    "zipCode",
    "zipCode2",
];
const SUPPLIER_REFERENCES: &[&str] = &[
    "apTaxReporting",
    "bank",
    "company",
    "country",
    "country2",
    "currency",
    "glObject1",
    "glObject2",
    "glObject3",
    "glObject4",
    "glObject5",
    "language",
    "owner",
    "payDocCode",
    "payMethod",
    "payTerms",
    "paymentCharge",
    "subledgerGroup",
    "taxRule",
    "xgl",
];
const SUPPLIER_ADDRESSES: &[&str] = &["address", "billAddress", "shipAddress"];

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "addGLImportItems",
        input: "AddGLImportItemsInput",
        rows: "glImportItems",
        identified: true,
        updates: false,
        scalars: &[
            "amount",
            "amount3",
            "amount4",
            "amount5",
            "archive",
            "bankAccount",
            // By its code alone, too.
            "currency",
            "discount",
            "discountAmount",
            "discountDate",
            "dueDate",
            "exchangeRate",
            "extOrderNumber",
            "externalInvoice",
            "invoiceAmount",
            "invoiceDate",
            "invoiceFile",
            "invoiceNumber",
            "numberPeriod",
            "payDocText",
            "paymentReference",
            "periodStart",
            "positionNumber",
            "postedDate",
            "quantity",
            "quantity2",
            "quantity3",
            "regAmount",
            "taxAmount",
            "taxAmount2",
            "text",
            "trItemNumber",
            "trRegNumber",
            "workflow",
            "yourReference",
        ],
        references: &[
            "account",
            "bankAccountRef",
            "collectCode",
            "collection",
            "company",
            "currency",
            "discountTaxRule",
            "entity",
            "glField1",
            "glField2",
            "glField3",
            "glField4",
            "glField5",
            "glField6",
            "glField7",
            "glField8",
            "glField9",
            "glField10",
            "glField11",
            "glField12",
            "glObject1",
            "glObject2",
            "glObject3",
            "glObject4",
            "glObject5",
            "importDefinition",
            "invoiceFileInput",
            "jobLevel",
            "objectDef",
            "objectValueDef",
            "ourRef",
            "owner",
            "payCode",
            "payDocCode",
            "payMethod",
            "payTerms",
            "paymentStatus",
            "product",
            "project",
            "slTransactionType",
            "subledger",
            "taxRule",
            "transactionReg",
            "transactionSource",
            "unit",
            "unitNumber",
            "unitQuantity",
            "xgl",
        ],
        addresses: &[],
    },
    Mutation {
        name: "addSuppliers",
        input: "AddSuppliersInput",
        rows: "suppliers",
        identified: false,
        updates: false,
        scalars: SUPPLIER_SCALARS,
        references: SUPPLIER_REFERENCES,
        addresses: SUPPLIER_ADDRESSES,
    },
    Mutation {
        name: "updateSuppliers",
        input: "UpdateSuppliersInput",
        rows: "suppliers",
        identified: false,
        updates: true,
        scalars: SUPPLIER_SCALARS,
        references: SUPPLIER_REFERENCES,
        addresses: SUPPLIER_ADDRESSES,
    },
    Mutation {
        name: "addCustomers",
        input: "AddCustomersInput",
        rows: "customers",
        identified: false,
        updates: false,
        scalars: &[
            "bankAccount",
            "code",
            "companyName",
            "companyNumber",
            "description",
            "email",
            "fromDate",
            "name",
            "paymentNotification",
            "phone",
            "phoneNumber2",
            "place",
            "place2",
            "socialSec",
            "streetAddress",
            "streetAddress2",
            "taxNumber",
            "toDate",
            "yourReference",
            "zipCode",
            "zipCode2",
        ],
        references: &[
            "address",
            "billAddress",
            "company",
            "country",
            "currency",
            "glObject1",
            "glObject2",
            "glObject3",
            "glObject4",
            "glObject5",
            "invoiceDeliveryMethod",
            "invoiceLayout",
            "language",
            "owner",
            "payTerms",
            "priceGroup",
            "priceList",
            "subledgerGroup",
            "taxRule",
            "xgl",
        ],
        addresses: &["shipAddress"],
    },
    Mutation {
        name: "addCompanies",
        input: "AddCompaniesInput",
        rows: "companies",
        identified: false,
        updates: false,
        scalars: &[
            "code",
            "companyNumber",
            "description",
            "email",
            "ownerCode",
            "phone",
            "phone2",
            "socialSec",
            "taxNumber",
        ],
        references: &["country", "owner"],
        addresses: &["address", "shipAddress"],
    },
    Mutation {
        name: "addInvoiceBaseItems",
        input: "AddInvoiceBaseItemsInput",
        rows: "invoiceBaseItems",
        identified: false,
        updates: false,
        scalars: &[
            "amount",
            "approved",
            "attachment",
            "costAmount",
            "costPrice",
            "discount",
            "extOrder",
            "extProductNumber",
            "extSupplierReference",
            "footerInfo",
            "fromDate",
            "headerInfo",
            "importReference",
            "invoiceAmount",
            "order",
            "paymentReference",
            "quantity",
            "taxAmount",
            "text",
            "toDate",
            "transactionDate",
            "unitPrice",
            "yourReference",
        ],
        references: &[
            "activity",
            "assignment",
            "currency",
            "employee",
            "glObject1",
            "glObject2",
            "glObject3",
            "glObject4",
            "glObject5",
            "import",
            "incomeElement",
            "invoiceDeliveryMethod",
            "invoiceLayout",
            "longFooterText",
            "longHeaderText",
            "object",
            "objectValue",
            "owner",
            "priceGroup",
            "priceList",
            "product",
            "project",
            "subledger",
            "subledgerKey",
            "subscriptionSetup",
            "taxRule",
            "unit",
            "workOrder",
            "xgl",
        ],
        addresses: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_by_their_whole_names() {
        let lines = Mutation::find("addGLImportItems").unwrap();
        for field in ["amount", "account.code", "account.dbId", "jobLevel.dbSubId", "glObject5.description"] {
            assert!(lines.takes(field), "{field}");
        }
        for field in ["account", "amount.code", "account.colour", "account.code.x", "extIdentifier", "colour", ""] {
            assert!(!lines.takes(field), "{field}");
        }
        let suppliers = Mutation::find("addSuppliers").unwrap();
        assert!(suppliers.takes("address.zipCode") && !suppliers.takes("address.code"));
        assert_eq!(Mutation::find("removeSuppliers"), None);
    }

    #[test]
    fn inputs_are_named_after_their_mutations() {
        for mutation in MUTATIONS {
            assert_eq!(mutation.input.to_lowercase(), format!("{}input", mutation.name.to_lowercase()));
            assert_eq!(mutation.updates, mutation.name.starts_with("update"));
        }
    }
}
