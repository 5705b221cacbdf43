#!/usr/bin/env python3
"""Uses sley as its users do: installed with DESTDIR, shared and static, through pkg-config; and as a meson subproject.

For every NAME.pc that is installed, use_NAME.c beside this file must compile, link and print "works".

usage: check.py ROOT CC
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

HERE = os.path.dirname(os.path.abspath(__file__))
ONLY_LIBRARIES = ['-Dtests=false', '-Dexamples=false', '-Dbench=false', '--buildtype=plain']
NO_DEPENDENCIES = ['-Dliburing=disabled', '-Dlibuv=disabled', '-Dmimalloc=disabled']
NO_DEPENDENCIES_IN_SLEY = [option.replace('-D', '-Dsley:') for option in NO_DEPENDENCIES]
PREFIX = '/opt/sley'


def run(*command, env=None):
    # What the outer build was told (flags, DESTDIR) is not meant for these.
    clean = {k: v for k, v in os.environ.items() if k not in ('CFLAGS', 'LDFLAGS', 'DESTDIR', 'MAKEFLAGS')}
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**clean, **(env or {})})
    return done.returncode == 0, done.stdout


def steps(*commands, env=None):
    text = ''
    for command in commands:
        ok, out = run(*command, env=env)
        text += '$ ' + ' '.join(command) + '\n' + out
        if not ok:
            return False, text
    return True, text


def install(root, work, name, cc, *options):
    build, tree = os.path.join(work, 'build-' + name), os.path.join(work, name)
    return tree, steps(
        ['meson', 'setup', build, root, '--prefix=' + PREFIX, '--libdir=lib', *ONLY_LIBRARIES, *options],
        ['ninja', '-C', build],
        ['meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', tree], env={'CC': cc})


def sysroot(tree):
    lib = tree + PREFIX + '/lib'
    # PKG_CONFIG_PATH, not LIBDIR: the optional dependencies' files are found as always.
    return {'PKG_CONFIG_PATH': lib + '/pkgconfig', 'PKG_CONFIG_SYSROOT_DIR': tree, 'LD_LIBRARY_PATH': lib}


def without_sysroot_of_system(flags, tree):
    """PKG_CONFIG_SYSROOT_DIR also prefixes paths of libraries outside the tree; they stay where they are."""
    out = []
    for flag in flags:
        path = flag[2:]
        moved = flag[:2] in ('-I', '-L') and path.startswith(tree) and not path.startswith(tree + PREFIX)
        out.append(flag[:2] + path[len(tree):] if moved else flag)
    return out


def use(tap, tree, work, cc, label, pkg_flags, cc_flags):
    env = sysroot(tree)
    files = sorted(glob.glob(tree + PREFIX + '/lib/pkgconfig/*.pc'))
    tap.check(f'{label}_installs_pkg_config_files', files)
    for name in (os.path.basename(f)[:-3] for f in files):
        source = os.path.join(HERE, f'use_{name}.c')
        case = f'{label}_{name}_links_and_runs'
        if not os.path.exists(source):
            tap.check(case, False, f'no tests/install/use_{name}.c')
            continue
        program = os.path.join(work, f'{label}-{name}')
        ok, flags = run('pkg-config', '--cflags', '--libs', *pkg_flags, name, env=env)
        flags = without_sysroot_of_system(flags.split(), tree) if ok else [flags]
        ok, text = steps([*cc.split(), *cc_flags, '-o', program, source, *flags], env=env)
        if ok:
            ok, out = run(program, env=env)
            text += out
            ok = ok and out == 'works\n'
        tap.check(case, ok, text)


def use_as_subproject(tap, root, work, cc, names):
    outer = os.path.join(work, 'outer')
    os.makedirs(os.path.join(outer, 'subprojects'))
    os.symlink(root, os.path.join(outer, 'subprojects', 'sley'))
    lines = ["project('outer', 'c')",
             "subproject('sley', default_options: ['tests=false', 'examples=false', 'bench=false'])"]
    for name in names:
        shutil.copy(os.path.join(HERE, f'use_{name}.c'), outer)
        lines.append(f"test('{name}', executable('{name}-user', 'use_{name}.c', dependencies: dependency('{name}')))")
    with open(os.path.join(outer, 'meson.build'), 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    build = os.path.join(outer, 'build')
    ok, text = steps(['meson', 'setup', build, outer, '--buildtype=plain', *NO_DEPENDENCIES_IN_SLEY],
                     ['ninja', '-C', build], ['meson', 'test', '-C', build, '--no-rebuild'], env={'CC': cc})
    tap.check('works_as_a_meson_subproject', ok and names, text)


def installed_files(tree):
    return sorted(os.path.relpath(os.path.join(folder, name), tree)
                  for folder, _, names in os.walk(tree) for name in names)


def main():
    root, cc = sys.argv[1], sys.argv[2]
    tap = Tap()
    missing = [tool for tool in ('meson', 'ninja', 'pkg-config') if not shutil.which(tool)]
    if missing:
        tap.skip('installed_tree', 'no ' + ', '.join(missing))
        return tap.finish()
    with tempfile.TemporaryDirectory() as work:
        shared, (ok, text) = install(root, work, 'shared', cc, '-Ddefault_library=both')
        names = []
        if tap.check('installs_with_destdir', ok, text):
            files = installed_files(shared)
            strays = [f for f in files if not f.startswith(PREFIX[1:] + '/')]
            tap.check('nothing_outside_the_prefix', not strays, '\n'.join(strays))
            private = [f for f in files if '/include/' in f and '/include/sley/' not in f]
            tap.check('headers_go_to_include_sley', not private, '\n'.join(private))
            use(tap, shared, work, cc, 'shared', [], [])
            for so in glob.glob(shared + PREFIX + '/lib/*.so*'):
                os.remove(so)
            use(tap, shared, work, cc, 'archives', ['--static'], [])
        static, (ok, text) = install(root, work, 'static', cc, '-Ddefault_library=static', *NO_DEPENDENCIES)
        if tap.check('installs_archives_without_dependencies', ok, text):
            names = [os.path.basename(f)[:-3] for f in installed_files(static) if f.endswith('.pc')]
            use(tap, static, work, cc, 'static', ['--static'], ['-static'])
        use_as_subproject(tap, root, work, cc, names)
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main())
