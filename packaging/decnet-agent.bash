# Completions of decnet-agent for bash, as "decnet-agent print completion bash" prints them: a file for
# /etc/bash_completion.d, or for ~/.local/share/bash-completion/completions.

_decnet_agent() {
  local current=${COMP_WORDS[COMP_CWORD]} command='' flag='' last='' word at i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --hash | --config | --master-host | --swarmctl-port | --master-name | --master-fingerprint | --host-uuid | --agent-dir | --state-dir | --docker-host | --interval | --log-level | --network-prefix | --container-prefix | --base-image | --service-image | --services | --publish | --artifacts-dir | --listen | --allowed-cn | --supersede | --forward-logs | --syslog-port | --textfile)
        # The value is the next word; bash makes the = before it a word of its own.
        at=$((i + 1))
        if [[ ${COMP_WORDS[at]} == = ]]; then
          if ((at == COMP_CWORD)); then current=''; else ((at++)); fi
        fi
        if ((at >= COMP_CWORD)); then flag=$word; fi
        i=$at
        ;;
      run | --once | state | doctor | apply | teardown | hash | images | print | help | version)
        if [[ -z $command ]]; then command=$word; fi
        last=$word
        ;;
      *) last=$word ;;
    esac
  done

  local words=''
  case $flag in
    '') ;;
    --config | --services | --textfile) words=FILES ;;
    --agent-dir | --state-dir | --artifacts-dir) words=FOLDERS ;;
    --supersede | --forward-logs) words='true false' ;;
    *) return ;;
  esac
  if [[ -z $flag ]]; then
    if [[ $current == -* ]]; then
      words='--config --version --help --master-host --swarmctl-port --master-name --master-fingerprint --host-uuid --agent-dir --state-dir --docker-host --interval --log-level --network-prefix --container-prefix --base-image --service-image --services --publish --artifacts-dir --listen --allowed-cn --supersede --forward-logs --syslog-port --textfile'
      case $command in '' | --once) words+=' --once' ;; esac
      case $command in '' | --once | state | doctor | apply | teardown | hash | images | version) words+=' --json' ;; esac
      case $command in '' | --once) words+=' --quiet' ;; esac
      case $command in '' | --once | apply) words+=' --dry-run' ;; esac
      case $command in '' | apply | images) words+=' --stored' ;; esac
      case $command in '' | images) words+=' --missing' ;; esac
      case $command in '' | doctor) words+=' --report' ;; esac
      case $command in '' | apply) words+=' --hash' ;; esac
      case $command in '' | apply | teardown) words+=' --no-wait' ;; esac
    else
      case $command in
        '') words='run state doctor apply teardown hash images print help version' ;;
        apply | hash | images) words=FILES ;;
        help) if [[ $last == help ]]; then words='run state doctor apply teardown hash images print help version'; fi ;;
        print)
          if [[ $last == print ]]; then
            words='systemd-service systemd-check-service systemd-check-timer cron config man completion install uninstall'
          elif [[ $last == completion ]]; then
            words=bash
          fi
          ;;
      esac
    fi
  fi

  case $words in
    FILES) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    FOLDERS) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
  esac
  if [[ $words == FILES || $words == FOLDERS ]]; then compopt -o filenames 2>/dev/null; fi
}
complete -F _decnet_agent decnet-agent
