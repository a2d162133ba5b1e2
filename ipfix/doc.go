// Package ipfix reads the wire format of IPFIX (RFC 7011): messages, sets,
// templates and the records that templates describe; and it knows the
// information elements (RFC 7012) of IANA's registry and of common vendors, with
// the reverse elements of RFC 5103.
//
// [ParseHeader] and [Sets] take a message apart, [ParseTemplates] reads
// templates, and [Records] goes through the records of a data set without
// allocating. [LookupElement] names an element and its type. Values of the
// structured types of RFC 6313 are octets too, which [Lists] writes as JSON.
//
// The package keeps no state between messages: which templates an exporter has
// sent is for the caller to remember (package collect does). NetFlow v9, whose
// templates are like these, is read by package netflow with the types of this one.
package ipfix
