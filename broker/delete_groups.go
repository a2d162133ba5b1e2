package broker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups (key 42), versions 0 to 2. KIP-229, KIP-482.
func deleteGroupsAPI() api {
	return api{key: 42, min: 0, max: 2, serve: serveDeleteGroups, outline: "[= string ]"}
}

func serveDeleteGroups(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DeleteGroupsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDeleteGroupsResponse()
	var waits []logged
	for _, id := range req.Groups {
		rg := kmsg.NewDeleteGroupsResponseGroup()
		rg.Group = id
		if !rq.mayGroup(kmsg.ACLOperationDelete, id) {
			rg.ErrorCode = rq.code(codeGroupAuthorization)
			resp.Groups = append(resp.Groups, rg)
			continue
		}
		refused := codeNone
		known, c := b.groups.with(id, false, func(g *group) {
			if g.state != groupEmpty {
				refused = codeNonEmptyGroup
				return
			}
			l, err := b.groups.bury(g)
			if err != nil {
				b.log.Error("group not deleted", "group", id, "err", err)
				refused = codeCoordinatorNotAvailable
				return
			}
			waits = append(waits, l)
		})
		switch {
		case id == "":
			c = codeInvalidGroupID
		case known:
			c = refused
		case c == codeNone:
			c = codeGroupIDNotFound
		}
		rg.ErrorCode = rq.code(c)
		resp.Groups = append(resp.Groups, rg)
	}
	var left atomic.Int32
	var failed atomic.Bool
	left.Store(int32(len(waits)) + 1)
	done := func(err error) {
		if err != nil {
			failed.Store(true)
		}
		if left.Add(-1) > 0 {
			return
		}
		for i := range resp.Groups {
			if rg := &resp.Groups[i]; failed.Load() && rg.ErrorCode == 0 {
				rg.ErrorCode = rq.code(codeCoordinatorNotAvailable)
			}
		}
		rq.respond(resp)
	}
	for _, l := range waits {
		l.wait(done)
	}
	done(nil)
	return nil
}
