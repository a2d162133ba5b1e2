package kafka

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producing is what properties say about producing.
type producing struct {
	acks            int16 // -1: all in-sync replicas
	idempotent      bool
	compression     kgo.CompressionCodec
	linger          time.Duration // negative: not set
	batchBytes      int           // of a batch, before compression
	requestBytes    int
	bufferBytes     int64 // 0: not set
	requestTimeout  time.Duration
	deliveryTimeout time.Duration // 0: never
	retries         int           // -1: no bound
	inflight        int64         // 0: not set
	metadataAge     time.Duration
	idle            time.Duration // after which a connection is closed
	backoff         func(tries int) time.Duration
}

// producing reads the properties of producing.
func (p Properties) producing() producing {
	s := producing{
		acks:           -1,
		idempotent:     p["enable.idempotence"] != "false",
		compression:    p.compression(),
		linger:         -1,
		requestBytes:   100 << 20,
		requestTimeout: p.duration("request.timeout.ms", 30*time.Second),
		retries:        -1,
		metadataAge:    p.duration("metadata.max.age.ms", 5*time.Minute),
		idle:           p.duration("connections.max.idle.ms", 9*time.Minute),
		backoff:        p.backoff(),
	}
	switch p["acks"] {
	case "0":
		s.acks, s.idempotent = 0, false
	case "1":
		s.acks, s.idempotent = 1, false
	}
	s.inflight, _ = p.number("max.in.flight.requests.per.connection")
	if _, ok := p["linger.ms"]; ok {
		s.linger = min(p.duration("linger.ms", 0), time.Minute)
	}
	request, requestSet := p.number("max.request.size")
	if requestSet {
		s.requestBytes = int(request)
	}
	batch, batchSet := p.number("batch.size")
	switch {
	case batchSet:
		s.batchBytes = int(batch)
	case requestSet: // who raises the size of a request wants to send larger records
		s.batchBytes = s.requestBytes
	default:
		s.batchBytes = 1000012
	}
	s.bufferBytes, _ = p.number("buffer.memory")
	if _, ok := p["delivery.timeout.ms"]; ok {
		s.deliveryTimeout = max(time.Second, p.duration("delivery.timeout.ms", 0))
	}
	if n, ok := p.number("retries"); ok && n < math.MaxInt32 {
		s.retries = int(n)
	}
	return s
}

// checkProducing finds properties that exclude each other.
func (p Properties) checkProducing() error {
	if acks := p["acks"]; p["enable.idempotence"] == "true" && (acks == "0" || acks == "1") {
		return badEndpoint("enable.idempotence=true and acks=%s exclude each other: allowed with it is acks=all", acks)
	}
	if n, ok := p.number("max.in.flight.requests.per.connection"); ok && n > 5 && p["enable.idempotence"] == "true" {
		return badEndpoint("enable.idempotence=true and max.in.flight.requests.per.connection=%d exclude each other: allowed with it are 1 to 5", n)
	}
	return nil
}

// options are those of a client that produces record by record.
func (s producing) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.RequiredAcks(s.requiredAcks())}
	if !s.idempotent {
		inflight := s.inflight
		if inflight == 0 {
			inflight = 5
		}
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(int(inflight)))
	} else if s.inflight > 0 {
		opts = append(opts, kgo.MaxProduceRequestsInflightPerBroker(int(min(s.inflight, 5))))
	}
	opts = append(opts, kgo.ProducerBatchCompression(s.compression))
	if s.linger >= 0 {
		opts = append(opts, kgo.ProducerLinger(s.linger))
	}
	batch := min(s.batchBytes, s.requestBytes)
	opts = append(opts, kgo.ProducerBatchMaxBytes(int32(batch)), kgo.BrokerMaxWriteBytes(int32(min(s.requestBytes+1<<16, 1<<30))))
	if s.bufferBytes > 0 {
		opts = append(opts, kgo.MaxBufferedBytes(int(min(s.bufferBytes, math.MaxInt))))
	}
	if s.deliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(s.deliveryTimeout))
	}
	if s.retries >= 0 {
		opts = append(opts, kgo.RecordRetries(s.retries))
	}
	return opts
}

func (s producing) requiredAcks() kgo.Acks {
	switch s.acks {
	case 0:
		return kgo.NoAck()
	case 1:
		return kgo.LeaderAck()
	default:
		return kgo.AllISRAcks()
	}
}
