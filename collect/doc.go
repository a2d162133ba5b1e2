// Package collect is a Collecting Process (RFC 7011): it receives flow export
// datagrams and turns them into flow records.
//
// [Decoder] decodes NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5 and keeps what
// exporters say of themselves: templates, sampling rates, names of interfaces
// and applications. [Server] owns the sockets: it receives datagrams, hands them
// to a [flow.Decoder] and the records to a [flow.Sink], either of which may be
// your own.
//
// Templates are known by the exporter's address, the version of the protocol,
// the observation domain and their id. The source port counts only when two
// exporters behind one address have been seen to contradict each other. Data that
// come before their template are held until it comes, within bounds. What exporters
// taught can be read ([Decoder.State]), stored, and given to another decoder
// ([Decoder.Learn]).
//
// The package keeps no log of its own and knows no metrics library: [Server.Stats]
// and [Decoder.Stats] tell what happened, and [Config.Logger] what is worth a line.
package collect
