package broker

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SaslHandshake (key 17), versions 0 to 1. KIP-43, KIP-152: after version 0 the tokens come in frames without a header, after
// version 1 in SaslAuthenticate. KIP-368: a client that has authenticated does it again, by the same mechanism, as the same user,
// once a second at most and with version 1. One that does not have to authenticate is refused.
func saslHandshakeAPI() api {
	return api{key: 17, min: 0, max: 1, serve: serveSASLHandshake, outline: "string"}
}

func serveSASLHandshake(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.SASLHandshakeRequest)
	c := rq.conn
	s := &c.session
	resp := kmsg.NewPtrSASLHandshakeResponse()
	again := !s.pending && s.mechanism != "" && rq.version > 0 && rq.at.Sub(s.again) >= reauthPause
	switch {
	case !s.pending && !again || s.exchange != nil, again && s.mechanism != req.Mechanism:
		resp.ErrorCode = rq.code(codeIllegalSASLState)
		s.failed = s.pending || s.exchange != nil || again
	case !slices.Contains(s.listener.cfg.SASLMechanisms, req.Mechanism):
		resp.ErrorCode = rq.code(codeUnsupportedMechanism)
		c.b.counters.authFailed.Add(1)
		s.failed = true
	default:
		s.mechanism = req.Mechanism
		s.exchange = c.b.users.exchange(req.Mechanism)
		s.bare = rq.version == 0
		if again {
			s.again = rq.at
		}
	}
	if s.pending || again {
		resp.SupportedMechanisms = s.listener.cfg.SASLMechanisms
	}
	rq.respond(resp)
	return nil
}

// reauthPause is the least time between two authentications of a connection after its first.
const reauthPause = time.Second

// exchange begins an authentication.
func (us *users) exchange(mechanism string) saslExchange {
	switch mechanism {
	case saslSCRAM256:
		return &scramExchange{users: us, mechanism: scramSHA256}
	case saslSCRAM512:
		return &scramExchange{users: us, mechanism: scramSHA512}
	}
	return &plainExchange{users: us}
}
