package main

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka"
)

// firstAnswer keeps a watch quiet until the cluster has answered once: before
// that, failure is the command's error and needs no line of its own.
type firstAnswer struct {
	watch    *kafka.Watch
	answered atomic.Bool
}

func (f *firstAnswer) OnBrokerConnect(meta kgo.BrokerMetadata, d time.Duration, conn net.Conn, err error) {
	if f.answered.Load() {
		f.watch.OnBrokerConnect(meta, d, conn, err)
	}
}
