import { expect, it } from 'vitest'

it('exports what is meant to be public', async () => {
  expect(Object.keys(await import('@k3s/controllers')).toSorted()).toMatchInlineSnapshot(`
    [
      "createBootstrapTokenCleaner",
      "createCertificateApprovingController",
      "createCertificateCleanerController",
      "createCertificateSigningController",
      "createClaimProtectionController",
      "createCloudNodeController",
      "createClusterRoleAggregationController",
      "createControllers",
      "createCronJobController",
      "createDaemonSetController",
      "createDeploymentController",
      "createDisruptionController",
      "createEndpointSliceController",
      "createEndpointSliceMirroringController",
      "createEndpointsController",
      "createGarbageCollector",
      "createJobController",
      "createNamespaceController",
      "createNodeIpamController",
      "createNodeLifecycleController",
      "createPodGcController",
      "createReplicaSetController",
      "createReplicationControllerController",
      "createResourceQuotaController",
      "createRootCaPublisher",
      "createServiceAccountController",
      "createStatefulSetController",
      "createTaintEvictionController",
      "createTokenSecretController",
      "createTtlAfterFinishedController",
      "createVolumeProtectionController",
      "discoverResources",
    ]
  `)
})
