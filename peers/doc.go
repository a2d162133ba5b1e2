// Package peers holds tributary against other collectors: what they make of the
// same datagrams, and whether each reads what the other has written. It is a
// module of its own, so that their dependencies are not tributary's.
//
// It has tests only.
package peers
