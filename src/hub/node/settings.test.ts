import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hubSettings, isModelId } from './settings.ts';

describe('hubSettings', () => {
  it('has the usual places when the environment says nothing', () => {
    expect(hubSettings({ HF_TOKEN: '', HF_HUB_OFFLINE: '' })).toEqual({
      endpoint: 'https://huggingface.co',
      token: undefined,
      cache: join(homedir(), '.cache', 'huggingface', 'hub'),
      offline: false,
    });
  });

  it.each([
    [{ HF_HUB_CACHE: '/c', HF_HOME: '/h' }, '/c'],
    [{ HF_HOME: '/h', XDG_CACHE_HOME: '/x' }, '/h/hub'],
    [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ HF_HUB_CACHE: '~/models' }, `${homedir()}/models`],
  ])('finds the cache with %j', (environment, cache) => {
    expect(hubSettings(environment).cache).toBe(resolve(cache));
  });

  it.each([
    ['1', true],
    ['TRUE', true],
    ['yes', true],
    ['on', true],
    ['0', false],
    ['no', false],
  ])('takes HF_HUB_OFFLINE=%s', (value, offline) => {
    expect(hubSettings({ HF_HUB_OFFLINE: value }).offline).toBe(offline);
  });

  it('takes a mirror, and refuses what is no address', () => {
    expect(hubSettings({ HF_ENDPOINT: 'https://mirror.example/' }).endpoint).toBe('https://mirror.example');
    for (const HF_ENDPOINT of ['mirror.example', 'ftp://mirror.example', 'http://[']) {
      expect(() => hubSettings({ HF_ENDPOINT })).toThrow(/HF_ENDPOINT is .*expected an address/);
    }
  });
});

describe('isModelId', () => {
  it.each(['SimianLuo/LCM_Dreamshaper_v7', 'a/b', 'stabilityai/stable-diffusion-xl-base-1.0'])(
    'accepts %s',
    (id) => {
      expect(isModelId(id)).toBe(true);
    },
  );

  it.each(['model', './a/b', '/a/b', 'a/b/c', 'a/.b', 'a/b.', '../b', 'a/b c', 'a\\b'])(
    'refuses %s',
    (text) => {
      expect(isModelId(text)).toBe(false);
    },
  );
});
