package broker

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ApiVersions (key 18), versions 0 to 4. KIP-35, KIP-511 (client software, a version-0 answer to a version that is too new),
// KIP-584 (features: groups of KIP-848, transactions of KIP-890).
func apiVersionsAPI() api {
	return api{key: 18, min: 0, max: 4, outline: "string@3 string@3", serve: serveApiVersions, refuse: refuseApiVersions}
}

// softwareName is what a client and its version may be called (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)

func serveApiVersions(rq *request, m kmsg.Request) error {
	resp := kmsg.NewPtrApiVersionsResponse()
	if req := m.(*kmsg.ApiVersionsRequest); rq.version >= 3 && !(softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = rq.code(codeInvalidRequest)
		rq.respond(resp)
		return nil
	}
	resp.ApiKeys = rq.broker().advertised()
	resp.FinalizedFeaturesEpoch = 0
	for _, f := range features {
		s, l := kmsg.NewApiVersionsResponseSupportedFeature(), kmsg.NewApiVersionsResponseFinalizedFeature()
		s.Name, s.MaxVersion = f.name, f.level
		l.Name, l.MinVersionLevel, l.MaxVersionLevel = f.name, f.level, f.level
		resp.SupportedFeatures, resp.FinalizedFeatures = append(resp.SupportedFeatures, s), append(resp.FinalizedFeatures, l)
	}
	rq.respond(resp)
	return nil
}

// features are those of Kafka that clients ask for by name; their levels are fixed.
var features = []struct {
	name  string
	level int16
}{{"group.version", 1}, {"transaction.version", 2}}

// refuseApiVersions answers a version that is not served: as version 0, so that the client can read it and choose
// one that is.
func refuseApiVersions(rq *request) error {
	rq.version, rq.flexible = 0, false
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = rq.code(codeUnsupportedVersion)
	resp.ApiKeys = rq.broker().advertised()
	rq.respond(resp)
	return nil
}

func (b *Broker) advertised() []kmsg.ApiVersionsResponseApiKey {
	var keys []kmsg.ApiVersionsResponseApiKey
	for _, a := range b.apis {
		if a == nil {
			continue
		}
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.min, a.max
		if a.key == kmsg.Produce.Int16() {
			k.MinVersion = producedFrom
		}
		keys = append(keys, k)
	}
	return keys
}
