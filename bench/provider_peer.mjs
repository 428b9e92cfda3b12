// npm's oidc-provider as a peer: `node provider_peer.mjs FOLDER PORT`, plain HTTP on 127.0.0.1.
//
// - FOLDER is where oidc-provider is installed. Everything is in memory; nothing is logged.
// - Settings come as JSON on stdin: client_id, secret, scope, audience.
// - The one line on stdout is JSON, once it answers: a refresh token, which is never rotated, and an
//   access token to exchange. It ends when it is killed.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

console.info = console.warn = console.error;
const [folder, port] = process.argv.slice(2);
const installed = createRequire(join(folder, 'package.json'));
const { default: Provider, errors } = await import(installed.resolve('oidc-provider'));
const { createLocalJWKSet, jwtVerify } = await import(installed.resolve('jose'));

const settings = JSON.parse(readFileSync(0, 'utf8'));
const issuer = `http://127.0.0.1:${port}`;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const SUBJECT = 'somebody';
const SECONDS = 3600;
const DAY = 86400;

function signingKey(alg, type, options) {
  const { privateKey, publicKey } = generateKeyPairSync(type, options);
  const about = { alg, use: 'sig', kid: `${alg}-1` };
  return [
    { ...privateKey.export({ format: 'jwk' }), ...about },
    { ...publicKey.export({ format: 'jwk' }), ...about },
  ];
}

const [es256, esPublic] = signingKey('ES256', 'ec', { namedCurve: 'P-256' });
const [rs256, rsPublic] = signingKey('RS256', 'rsa', { modulusLength: 2048 });
const known = createLocalJWKSet({ keys: [esPublic, rsPublic] });

function resourceServer(ctx, audience) {
  if (audience !== settings.audience) {
    throw new errors.InvalidTarget('this audience is unknown here');
  }
  return {
    audience,
    scope: settings.scope,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  };
}

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.secret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials', 'refresh_token', EXCHANGE],
      response_types: [],
      redirect_uris: [],
    },
  ],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: { keys: [es256, rs256] },
  scopes: ['openid', 'offline_access'],
  rotateRefreshToken: false,
  ttl: { AccessToken: SECONDS, ClientCredentials: SECONDS, Grant: DAY, RefreshToken: DAY },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
  extraTokenClaims: () => ({ 'wlcg.ver': '1.0', nbf: Math.floor(Date.now() / 1000) - 60 }),
  findAccount: (ctx, name) => ({ accountId: name, claims: () => ({ sub: name }) }),
});

// RFC 8693 for access tokens of this issuer: within the scope of the one that is shown.
async function exchange(ctx) {
  const { params, client } = ctx.oidc;
  let claims;
  try {
    ({ payload: claims } = await jwtVerify(params.subject_token, known, { issuer }));
  } catch {
    throw new errors.InvalidGrant('the subject token is not good');
  }
  const held = new Set(claims.scope.split(' '));
  const asked = params.scope ? params.scope.split(' ') : [...held];
  if (!asked.every((one) => held.has(one))) {
    throw new errors.InvalidScope('more than the subject token holds', params.scope);
  }
  const audience = params.resource ?? settings.audience;
  const token = new provider.AccessToken({
    accountId: claims.sub,
    client,
    grantId: 'none',
    gty: 'token_exchange',
    scope: asked.join(' '),
    extra: { act: { sub: client.clientId } },
  });
  token.resourceServer = new provider.ResourceServer(audience, resourceServer(ctx, audience));
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    expires_in: token.expiration,
    scope: token.scope,
    token_type: 'Bearer',
  };
}

provider.registerGrantType(
  EXCHANGE,
  exchange,
  ['subject_token', 'subject_token_type', 'requested_token_type', 'scope', 'resource'],
);
provider.on('server_error', (ctx, error) => console.error(error));

async function givenBefore() {
  const client = await provider.Client.find(settings.client_id);
  const grant = new provider.Grant({ accountId: SUBJECT, clientId: client.clientId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(settings.audience, settings.scope);
  const about = { accountId: SUBJECT, client, grantId: await grant.save() };
  const refresh = new provider.RefreshToken({
    ...about,
    gty: 'authorization_code',
    scope: `offline_access ${settings.scope}`,
    resource: settings.audience,
  });
  const access = new provider.AccessToken({ ...about, gty: 'authorization_code', scope: settings.scope });
  access.resourceServer = new provider.ResourceServer(
    settings.audience,
    resourceServer(null, settings.audience),
  );
  return { refresh_token: await refresh.save(), access_token: await access.save() };
}

const given = await givenBefore();
createServer(provider.callback()).listen(Number(port), '127.0.0.1', () =>
  console.log(JSON.stringify(given)),
);
