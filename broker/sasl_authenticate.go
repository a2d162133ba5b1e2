package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// SaslAuthenticate (key 36), versions 0 to 2. KIP-152, KIP-368 (session lifetime: MaxReauth, or as long as
// the connection). A client that fails is told so 100 ms later and is closed.
func saslAuthenticateAPI() api {
	return api{key: 36, min: 0, max: 2, serve: serveSASLAuthenticate, outline: "bytes"}
}

func serveSASLAuthenticate(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.SASLAuthenticateRequest)
	s := &rq.conn.session
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.SASLAuthBytes = []byte{}
	if s.exchange == nil {
		resp.ErrorCode = rq.code(codeIllegalSASLState)
		resp.ErrorMessage = kmsg.StringPtr("SaslAuthenticate comes after SaslHandshake, once")
		s.failed = s.pending
		rq.respond(resp)
		return nil
	}
	answer, err := rq.conn.authenticate(req.SASLAuthBytes)
	if err != nil {
		resp.ErrorCode = rq.code(codeAuthenticationFailed)
		resp.ErrorMessage = kmsg.StringPtr("authentication failed: " + err.Error())
	} else {
		resp.SASLAuthBytes = answer
		if s.exchange == nil {
			resp.SessionLifetimeMillis = rq.broker().cfg.MaxReauth.Milliseconds()
		}
	}
	rq.respond(resp)
	return nil
}
