// Package netflow reads Cisco's NetFlow: versions 1, 5 and 7, whose records have
// one fixed layout each, and version 9 (RFC 3954), whose records are described
// by templates of package ipfix.
//
// It takes datagrams apart and keeps no state; what templates an exporter has
// sent is for the caller to remember.
package netflow
