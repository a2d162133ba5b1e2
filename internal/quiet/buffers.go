package quiet

import "net"

// gatherer writes several pieces in one call.
type gatherer interface {
	writeBuffers(pieces [][]byte) (n int64, err error)
}

// WriteBuffers writes pieces one after the other, from where they lie in memory: a
// connection that [Conn] made quiet takes them together. n is how many octets went, also
// where there is an error.
func WriteBuffers(nc net.Conn, pieces [][]byte) (n int64, err error) {
	if g, ok := nc.(gatherer); ok {
		return g.writeBuffers(pieces)
	}
	for _, p := range pieces {
		done, err := nc.Write(p)
		n += int64(done)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
