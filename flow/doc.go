// Package flow holds the flow record, the one form in which every decoder of
// tributary hands on what it has read and every sink takes it.
//
// [Record] is flat and meant to be reused: a decoder fills one, hands it to an
// emit function, and fills it again. Its fields are listed in one table
// ([Fields]), from which every encoding is written: the protobuf message and the
// JSON object of goflow2 v2, and KFlow's JSON ([Format]). Whatever an exporter
// sent that has no field of its own is kept as an [Element].
//
// [Decoder] and [Sink] are the two ends of the collector: implement one to teach
// it another protocol or another destination.
//
// The package does not read the network, does not know Kafka and imports only
// the standard library.
package flow

//go:generate go run ./gen
