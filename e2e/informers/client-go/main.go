// Informers of client-go, typed, dynamic and of metadata only, that tell on request what they have.
//
//	informers KUBECONFIG RESOURCE.VERSION.GROUP
//
// The argument names a custom resource. Each line on standard input is answered by one line on standard output:
// {"caches": {"pods": {"namespace/name": "resourceVersion"}}, "complaints": ["…"]}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

var builtIns = []schema.GroupVersionResource{
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Version: "v1", Resource: "pods"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
	{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
}

// What is watched by the dynamic client and for metadata only, beside the custom resource.
var again = builtIns[:6]

// book keeps each informer and finds events that go back.
type book struct {
	mutex      sync.Mutex
	stores     map[string]cache.Store
	last       map[string]uint64
	complaints []string
}

func (b *book) follow(name string, informer cache.SharedIndexInformer) {
	see := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		b.see(name, object)
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    see,
		UpdateFunc: func(_, object any) { see(object) },
		DeleteFunc: see,
	})
	check(err)
	b.stores[name] = informer.GetStore()
}

func (b *book) see(name string, object any) {
	accessor, err := meta.Accessor(object)
	check(err)
	version, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	check(err)
	id := name + " " + accessor.GetNamespace() + "/" + accessor.GetName()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if last := b.last[id]; version < last {
		b.complaints = append(b.complaints, fmt.Sprintf("%s went back from %d to %d", id, last, version))
	}
	b.last[id] = version
}

func (b *book) tell() any {
	caches := map[string]map[string]string{}
	for name, store := range b.stores {
		caches[name] = map[string]string{}
		for _, object := range store.List() {
			accessor, err := meta.Accessor(object)
			check(err)
			caches[name][accessor.GetNamespace()+"/"+accessor.GetName()] = accessor.GetResourceVersion()
		}
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return map[string]any{"caches": caches, "complaints": append([]string{}, b.complaints...)}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	check(err)
	custom, _ := schema.ParseResourceArg(os.Args[2])
	typed := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	untyped := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0)
	short := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(config), 0)
	b := &book{stores: map[string]cache.Store{}, last: map[string]uint64{}}
	for _, resource := range builtIns {
		informer, err := typed.ForResource(resource)
		check(err)
		b.follow(resource.GroupResource().String(), informer.Informer())
	}
	for _, resource := range append([]schema.GroupVersionResource{*custom}, again...) {
		name := resource.GroupResource().String()
		b.follow(name+", dynamic", untyped.ForResource(resource).Informer())
		b.follow(name+", metadata", short.ForResource(resource).Informer())
	}
	typed.Start(context.Background().Done())
	untyped.Start(context.Background().Done())
	short.Start(context.Background().Done())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		check(json.NewEncoder(os.Stdout).Encode(b.tell()))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
