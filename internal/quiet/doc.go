// Package quiet reads and writes sockets without the runtime's knowledge.
//
// A socket in Go never blocks: what cannot be done at once waits in the poller. But the runtime counts each read and write
// as a call that may block, and where all its processors are busy its monitor looks every 20 microseconds whether one does.
// Where there are thousands of calls a second, that takes a tenth of the processor and is for nothing.
package quiet
