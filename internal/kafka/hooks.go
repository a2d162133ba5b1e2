package kafka

import (
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// hooks are told of the connections that produce, as the client tells them of its own.
type hooks []kgo.Hook

func (h hooks) connected(b kgo.BrokerMetadata, took time.Duration, nc net.Conn, err error) {
	for _, hook := range h {
		if hook, ok := hook.(kgo.HookBrokerConnect); ok {
			hook.OnBrokerConnect(b, took, nc, err)
		}
	}
}

func (h hooks) disconnected(b kgo.BrokerMetadata, nc net.Conn) {
	for _, hook := range h {
		if hook, ok := hook.(kgo.HookBrokerDisconnect); ok {
			hook.OnBrokerDisconnect(b, nc)
		}
	}
}

func (h hooks) exchanged(b kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	for _, hook := range h {
		if hook, ok := hook.(kgo.HookBrokerE2E); ok {
			hook.OnBrokerE2E(b, key, e)
		}
	}
}

func (h hooks) throttled(b kgo.BrokerMetadata, d time.Duration) {
	for _, hook := range h {
		if hook, ok := hook.(kgo.HookBrokerThrottle); ok {
			hook.OnBrokerThrottle(b, d, true)
		}
	}
}
