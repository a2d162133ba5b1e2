// Package traffic makes up a network and what its devices export: the traffic behind "tributary up --demo", behind tests
// that want realistic datagrams, and behind benchmarks.
//
// A [Network] is some hundreds of hosts with services of different popularity. Each [Exporter] of it is a device that
// watches conversations between these hosts and reports them as NetFlow v1, v5, v7 or v9, IPFIX or sFlow v5; its Next
// yields one datagram after another. [Demo] sends what all of them say over UDP until it is told to stop. A [Load] sends
// NetFlow v9, v5, IPFIX or sFlow datagrams of one fixed shape as fast as wanted, with numbered flows, so that a receiver
// can count exactly what it got.
//
// Everything but the clock comes from a seed: the same seed and the same times give the same octets. All addresses, names
// and AS numbers are from the ranges set aside for private use, documentation and benchmarks (RFC 1918, 2544, 2606, 3849,
// 5398, 5737).
//
// The wire formats are written here octet by octet, on purpose not with the encoders of other packages: a decoder tested
// on this traffic is tested against a second reading of the specifications.
package traffic
