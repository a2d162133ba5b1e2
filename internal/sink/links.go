package sink

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// links are the connections that a client has open. While there is one, a broker
// of a cluster that cannot be reached is the cluster's own trouble: its others take
// over.
type links struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

var (
	_ kgo.HookBrokerConnect    = (*links)(nil)
	_ kgo.HookBrokerDisconnect = (*links)(nil)
)

func (l *links) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, c net.Conn, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[net.Conn]bool{}
	}
	l.open[c] = true
}

func (l *links) OnBrokerDisconnect(_ kgo.BrokerMetadata, c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

func (l *links) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) > 0
}
